"""What Redis runs to grant calls: one script, one key a call of it, by the server's own clock.

    ARGV  "rate",  need, extra, burst, interval, scale, process, unspent, life
    ARGV  "quota", need, extra, count, begins, ends

need: calls that wait. extra: calls to lease beside them. interval / scale: microseconds a call
costs. process: who asks; unspent: calls that it still has leased; life: microseconds for which it
may spend a lease. begins, ends: Unix seconds of the period.

Answer: {granted, wait, left}: calls granted, `need` if there are as many, and of `extra` at most
half of what is then left, so that nobody hoards the last ones; microseconds until there is one
more (rate) or until the period ends (quota); calls left. granted is -1 when the quota's period is
not the present one by the server's clock, and then wait is the server's time.

A rate's key is a hash: `full` is when the bucket would be full again, and each process has a field
with the calls it has leased and when that ends. lease.py says why that never admits too much.

Times are microseconds of the server's Unix clock: Lua's numbers are exact to 2**53. What is rounded
is rounded to the limit's side. Keys vanish by themselves when they say nothing any more.
"""

from __future__ import annotations

from typing import Final

from uaitools.traffic.limits import Quota, Rate

SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local need, extra, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local function granted(left)
    return math.min(left, need + math.max(0, math.min(extra, math.floor((left - need) / 2))))
end
local function whole(number)
    return string.format('%.0f', number)
end

if ARGV[1] == 'quota' then
    local begins, ends = tonumber(ARGV[5]) * 1000000, tonumber(ARGV[6]) * 1000000
    if now < begins or now >= ends then
        return {-1, now, 0}
    end
    local used = tonumber(redis.call('GET', KEYS[1]) or '0')
    local grant = granted(math.max(0, most - used))
    if grant > 0 then
        redis.call('SET', KEYS[1], whole(used + grant),
            'PX', whole(math.ceil((ends - now) / 1000) + 1000))
    end
    return {grant, ends - now, math.max(0, most - used - grant)}
end

local interval, scale = tonumber(ARGV[5]), tonumber(ARGV[6])
local process, unspent, life = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local function cost(calls)
    return math.ceil(calls * interval / scale)
end

local full, leased, latest = now, 0, 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    if fields[i] == 'full' then
        full = math.max(now, tonumber(fields[i + 1]))
    else
        local calls, ends = string.match(fields[i + 1], '^(%d+) (%d+)$')
        leased, latest = leased + tonumber(calls), math.max(latest, tonumber(ends))
        if tonumber(ends) <= now then
            redis.call('HDEL', KEYS[1], fields[i])
        end
    end
end
-- As long as calls are leased, the bucket has that much less room.
full = math.max(full, math.min(now, latest) + cost(leased))
-- What is later than an empty bucket is left from before the clock was set back.
local capacity = cost(most)
full = math.min(full, now + capacity)
local grant = granted(math.floor((now + capacity - full) * scale / interval))
full = full + cost(grant)
if grant > 0 or leased > 0 then
    redis.call('HSET', KEYS[1], 'full', whole(full))
    local lease = unspent + math.max(0, grant - need)
    if lease > 0 then
        latest = now + life
        redis.call('HSET', KEYS[1], process, whole(lease) .. ' ' .. whole(now + life))
    else
        redis.call('HDEL', KEYS[1], process)
    end
    redis.call('PEXPIRE', KEYS[1], whole(math.ceil((math.max(full, latest) - now) / 1000) + 1000))
end
local room = now + capacity - full
return {grant, math.max(0, cost(1) - room), math.floor(room * scale / interval)}
"""

_MILLISECOND: Final = 1_000_000


def rate_arguments(
    rate: Rate, need: int, extra: int, *, process: str, unspent: int, life: int
) -> tuple[str | int, ...]:
    """What the script is told of a rate. life: nanoseconds.

    An interval below a millisecond is said in nanoseconds, a longer one in microseconds, rounded
    up, which is a thousandth at most: so products stay exact.
    """
    scaled = (rate.interval, 1000)
    if rate.interval >= _MILLISECOND:
        scaled = (-(-rate.interval // 1000), 1)
    return ("rate", need, extra, rate.burst, *scaled, process, unspent, life // 1000)


def quota_arguments(
    quota: Quota, need: int, extra: int, period: tuple[int, int]
) -> tuple[str | int, ...]:
    """What the script is told of a quota. period: its beginning and end in Unix seconds."""
    return ("quota", need, extra, quota.count, *period)
