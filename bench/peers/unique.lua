-- Heads that never repeat: query, cookie and trace header differ; eight headers, as load.HEADERS.
-- Joined by hand: wrk.format would make the generator the bottleneck.
local number = 1000000
local head, middle, after

function init()
    local token = os.getenv("BENCH_TOKEN") or "abcdefghijklmnopqrstuvwxyz"
    head = "GET " .. wrk.path .. "?q="
    middle = " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
        "\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n" ..
        "Accept-Encoding: gzip, deflate\r\nAccept-Language: en\r\n" ..
        "Authorization: Bearer " .. token .. "\r\nCookie: session="
    after = "\r\nX-Trace: t"
end

function request()
    number = number + 1
    return head .. number .. middle .. number .. after .. number .. "\r\n\r\n"
end
