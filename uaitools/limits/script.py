"""What Redis runs to grant calls: one script, one key a call of it, by the server's own clock.

Times are microseconds of the server's Unix clock: Lua's numbers are exact to 2**53. What is rounded
is rounded to the limit's side. Keys vanish by themselves when they say nothing any more.

    ARGV  "rate",  need, extra, burst, interval, scale   (interval/scale microseconds a call)
    ARGV  "quota", need, extra, count, begins, ends      (Unix seconds of the period)

Answer: {granted, wait, left}: calls granted, `need` if there are as many, and of `extra` at most
half of what is then left, so that nobody hoards the last ones; microseconds until there is one
more (rate) or until the period ends (quota); calls left. granted is -1 when the quota's period is
not the present one by the server's clock, and then wait is the server's time.
"""

from __future__ import annotations

from typing import Final

from uaitools.traffic.limits import Quota, Rate

SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local need, extra, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local held = tonumber(redis.call('GET', KEYS[1]) or '0')

local function granted(left)
    return math.min(left, need + math.max(0, math.min(extra, math.floor((left - need) / 2))))
end

if ARGV[1] == 'quota' then
    local begins, ends = tonumber(ARGV[5]) * 1000000, tonumber(ARGV[6]) * 1000000
    if now < begins or now >= ends then
        return {-1, now, 0}
    end
    local grant = granted(math.max(0, most - held))
    if grant > 0 then
        redis.call('SET', KEYS[1], string.format('%.0f', held + grant), 'PX',
            string.format('%.0f', math.ceil((ends - now) / 1000) + 1000))
    end
    return {grant, ends - now, math.max(0, most - held - grant)}
end

local interval, scale = tonumber(ARGV[5]), tonumber(ARGV[6])
local one, capacity = math.ceil(interval / scale), math.ceil(most * interval / scale)
-- Later than a full bucket's worth is left from before the clock was set back.
local full = math.min(math.max(held, now), now + capacity)
local grant = granted(math.floor((now + capacity - full) * scale / interval))
if grant > 0 then
    full = full + math.ceil(grant * interval / scale)
    redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX',
        string.format('%.0f', math.ceil((full - now) / 1000) + 1000))
end
local room = now + capacity - full
return {grant, math.max(0, one - room), math.floor(room * scale / interval)}
"""

_MILLISECOND: Final = 1_000_000


def rate_arguments(rate: Rate, need: int, extra: int) -> tuple[str | int, ...]:
    """What the script is told of a rate.

    An interval below a millisecond is said in nanoseconds, a longer one in microseconds, rounded
    up, which is a thousandth at most: so products stay exact.
    """
    if rate.interval < _MILLISECOND:
        return ("rate", need, extra, rate.burst, rate.interval, 1000)
    return ("rate", need, extra, rate.burst, -(-rate.interval // 1000), 1)


def quota_arguments(
    quota: Quota, need: int, extra: int, period: tuple[int, int]
) -> tuple[str | int, ...]:
    """What the script is told of a quota. period: its beginning and end in Unix seconds."""
    return ("quota", need, extra, quota.count, *period)
