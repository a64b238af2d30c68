-- Each request from a client that never came before, by the word of a trusted proxy.
local key = os.getenv("BENCH_TOKEN")
local number = (os.time() % 10000) * 400000

function request()
    number = number + 1
    local address = (10 + math.floor(number / 16777216)) .. "." .. math.floor(number / 65536) % 256 .. "." ..
        math.floor(number / 256) % 256 .. "." .. number % 256
    return "GET /api/chat?n=" .. number .. " HTTP/1.1\r\nHost: bench\r\nX-Forwarded-For: " .. address ..
        "\r\nX-Tenant: t" .. number .. "\r\nX-API-Key: " .. key .. "\r\n\r\n"
end
