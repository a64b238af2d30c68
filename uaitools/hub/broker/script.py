"""What Redis does in one step: the text of its scripts. Pure.

All keys of a channel begin with `uaitools:hub:{CHANNEL}:`, in one slot of a cluster, which is also
the name by which the channel is published:

    meta          hash: `epoch`; `head`, the offset of the newest message; `run`, see below
    log           stream of messages, their ids `OFFSET-0`, their time by Redis's clock
    done:NODE     hash: places of what a node has published and may publish again; `first` of these
    users         hash: users and their connections, on all nodes
    names         ZSET of users, all with the score 0: pages by name, and how many there are
    connections   of all users
    at:SESSION    hash: users and their connections at one node

and those of the nodes with `uaitools:hub:{nodes}:`

    sessions      ZSET: by the time until which each is believed to live
    run           of the server, see below
    in:SESSION    set: the channels that it has somebody in

An epoch belongs to one run of a server (`run_id` of INFO): what a server that was started anew has
may be older than what it has said, and what is published then must not get an offset that was
given before. So the first who comes to a channel after a restart begins another epoch.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "uaitools:hub:"
NODES: Final = "{nodes}:"
META: Final = 7 * 86_400  # seconds an epoch is known after it was last asked for
KEPT: Final = 60  # seconds a stream is kept after its messages are too old
RETRIED: Final = 300  # seconds for which places of a node's publications are kept
REAPED: Final = 8  # sessions named at once whose time is over
FORGOTTEN: Final = 500  # users taken out of a channel in one step


def key_of(channel: str, prefix: str = PREFIX) -> str:
    """What the keys of a channel begin with. A brace within it would end the tag."""
    tag = channel.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return f"{prefix}{{{tag}}}:"


# ARGV  run, epoch: a fresh one
_CHANNEL: Final = (
    f"local META, KEPT, RETRIED = {META}, {KEPT}, {RETRIED}"
    """
local prefix, run = KEYS[1], ARGV[1]
local meta, log = prefix .. 'meta', prefix .. 'log'
local found = redis.call('HMGET', meta, 'epoch', 'head', 'run')
local epoch, head = found[1], tonumber(found[2])
if not epoch or not head or found[3] ~= run then
    epoch, head = ARGV[2], 0
    redis.call('DEL', meta, log)
    redis.call('HSET', meta, 'epoch', epoch, 'head', '0', 'run', run)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
)

# A message gets its place, is kept, and is told.
#
#     ARGV  run, epoch, node, number, first, size, age, message
#
# number: the node's, rising. first: the lowest one that it may send again; what has a lower one
# has come too late and is left out. age: milliseconds.
#
# Answer: {epoch, offset}, {} for what came too late.
PUBLISH: Final = (
    _CHANNEL
    + """
local done, number, first = prefix .. 'done:' .. ARGV[3], ARGV[4], tonumber(ARGV[5])
local known = redis.call('HMGET', done, number, 'first')
local place = known[1]
if place then
    local at = string.find(place, ':', 1, true)
    if string.sub(place, 1, at - 1) == epoch then
        return {epoch, tonumber(string.sub(place, at + 1))}
    end
end
local before = tonumber(known[2] or '0')
if tonumber(number) < before then
    return {}
end
if before < first then
    for _, field in ipairs(redis.call('HKEYS', done)) do
        if field ~= 'first' and tonumber(field) < first then
            redis.call('HDEL', done, field)
        end
    end
    redis.call('HSET', done, 'first', ARGV[5])
    redis.call('EXPIRE', done, RETRIED)
end
head = head + 1
local offset = string.format('%.0f', head)
redis.call('XADD', log, 'MAXLEN', ARGV[6], offset .. '-0', 't', string.format('%.0f', now),
    'm', ARGV[8])
redis.call('HSET', meta, 'head', offset)
redis.call('HSET', done, number, epoch .. ':' .. offset)
redis.call('EXPIRE', log, math.ceil(tonumber(ARGV[7]) / 1000) + KEPT)
redis.call('EXPIRE', meta, META)
redis.call('PUBLISH', prefix, 'm ' .. epoch .. ' ' .. offset .. '\\n' .. ARGV[8])
return {epoch, head}
"""
)

# What there is of a channel after an offset of an epoch; of another epoch all there is.
#
#     ARGV  run, epoch, epoch that is known or '', offset, age
#
# Answer: {epoch, head, entries}.
READ: Final = (
    _CHANNEL
    + """
local after = 0
if ARGV[3] == epoch then
    after = tonumber(ARGV[4])
end
redis.call('EXPIRE', meta, META)
if after >= head then
    return {epoch, head, {}}
end
local oldest, kept = now - tonumber(ARGV[5]), {}
for _, entry in ipairs(redis.call('XRANGE', log, string.format('(%.0f-0', after), '+')) do
    local fields = entry[2]
    if #kept > 0 or fields[1] ~= 't' or tonumber(fields[2]) >= oldest then
        kept[#kept + 1] = {entry[1], fields[4]}
    end
end
return {epoch, head, kept}
"""
)

# A session lives, and is going to say who is in some channels, and nobody in others.
#
#     ARGV  run, session, ttl in ms, 'new' or '', n, n channels it is in, channels it is not in
#
# A session whose time was over has to be begun anew, under another name: others may have taken it
# for dead. What it says under the old one is removed.
#
# Answer: {whether it still was there, sessions whose time is over}.
RENEW: Final = (
    f"local REAPED = {REAPED}"
    """
local prefix, session = KEYS[1], ARGV[2]
local sessions, run = prefix .. 'sessions', prefix .. 'run'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('GET', run) ~= ARGV[1] then
    for _, one in ipairs(redis.call('ZRANGE', sessions, 0, -1)) do
        redis.call('ZADD', sessions, 0, one)
    end
    redis.call('SET', run, ARGV[1])
end
local until_ = tonumber(redis.call('ZSCORE', sessions, session) or '0')
local there = ARGV[4] == 'new' or until_ >= now
redis.call('ZADD', sessions, there and string.format('%.0f', now + ARGV[3]) or 0, session)
local split = 5 + tonumber(ARGV[5])
for i = 6, split do
    redis.call('SADD', prefix .. 'in:' .. session, ARGV[i])
end
for i = split + 1, #ARGV do
    redis.call('SREM', prefix .. 'in:' .. session, ARGV[i])
end
local over = redis.call('ZRANGEBYSCORE', sessions, '-inf', string.format('(%.0f', now),
    'LIMIT', 0, REAPED)
return {there and 1 or 0, over}
"""
)

# A session ends.    ARGV  run, session
LEAVE: Final = """
redis.call('ZADD', KEYS[1] .. 'sessions', 0, ARGV[2])
return {}
"""

# Channels that a dead session is still in; it is forgotten when there are none.
#
#     ARGV  run, session, then channels that it was taken out of
REAP: Final = """
local within = KEYS[1] .. 'in:' .. ARGV[2]
for i = 3, #ARGV do
    redis.call('SREM', within, ARGV[i])
end
local left = redis.call('SRANDMEMBER', within, 100)
if #left == 0 then
    local score = redis.call('ZSCORE', KEYS[1] .. 'sessions', ARGV[2])
    local time = redis.call('TIME')
    if score and tonumber(score) < time[1] * 1000 then
        redis.call('ZREM', KEYS[1] .. 'sessions', ARGV[2])
    end
end
return left
"""

# Users have so many connections at a session now; whoever follows the channel is told who has come
# and gone, as lists, each user with its length before it.
_COUNT: Final = """
local prefix = KEYS[1]
local at = prefix .. 'at:' .. ARGV[2]
local users, names, connections = prefix .. 'users', prefix .. 'names', prefix .. 'connections'
local joined, left, sum = {}, {}, 0
local function count(user, number)
    local change = number - tonumber(redis.call('HGET', at, user) or '0')
    if number > 0 then
        redis.call('HSET', at, user, number)
    else
        redis.call('HDEL', at, user)
    end
    if change == 0 then
        return
    end
    sum = sum + change
    local total = redis.call('HINCRBY', users, user, change)
    if total <= 0 then
        redis.call('HDEL', users, user)
        if redis.call('ZREM', names, user) == 1 then
            left[#left + 1] = user
        end
    elseif redis.call('ZADD', names, 0, user) == 1 then
        joined[#joined + 1] = user
    end
end
local function written(list)
    local parts = {#list .. '\\n'}
    for _, user in ipairs(list) do
        parts[#parts + 1] = #user .. '\\n' .. user
    end
    return table.concat(parts)
end
local function tell()
    if sum ~= 0 and redis.call('INCRBY', connections, sum) <= 0 then
        redis.call('DEL', connections)
    end
    if #joined + #left > 0 then
        redis.call('PUBLISH', prefix, 'p ' .. redis.call('ZCARD', names) .. '\\n'
            .. written(joined) .. written(left))
    end
end
"""

# ARGV  run, session, then pairs of user, connections
ATTEND: Final = (
    _COUNT
    + """
for i = 3, #ARGV, 2 do
    count(ARGV[i], tonumber(ARGV[i + 1]))
end
tell()
return {}
"""
)

# Take a dead session out of a channel.    ARGV  run, session
#
# Answer: {whether all of it is done}.
FORGET: Final = (
    f"local FORGOTTEN = {FORGOTTEN}\n"
    + _COUNT
    + """
local some = redis.call('HSCAN', at, '0', 'COUNT', FORGOTTEN)[2]
for i = 1, #some, 2 do
    count(some[i], 0)
end
tell()
return {redis.call('EXISTS', at) == 0 and 1 or 0}
"""
)

# Who is in a channel.    ARGV  run, 'after' a user or 'begin', the user, limit
#
# Answer: {users, connections, names of the page, their connections}.
LIST: Final = """
local prefix = KEYS[1]
local from = ARGV[2] == 'after' and '(' .. ARGV[3] or '-'
local page = redis.call('ZRANGEBYLEX', prefix .. 'names', from, '+', 'LIMIT', 0, ARGV[4])
local numbers = {}
if #page > 0 then
    numbers = redis.call('HMGET', prefix .. 'users', unpack(page))
end
return {redis.call('ZCARD', prefix .. 'names'),
    tonumber(redis.call('GET', prefix .. 'connections') or '0'), page, numbers}
"""
