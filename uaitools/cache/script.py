"""What Redis does in one step: the text of its scripts. Pure.

All keys of a cache begin with `uaitools:cache:{NAME}:`, in one slot of a cluster:

    epoch     hash: `run`, `epoch`, see below
    k:KEY     string: what it is ('v', 'l' or 's'), the epoch, and
              of a value 'v' the value;
              of a lease 'l' its token: somebody loads, and whoever else does shares the lease;
              of a lease 's' its token: somebody sets the value, and no load is to come between
    s:SCOPE   string: the epoch, and the scope's own, which its keys have in place of the epoch

What has another epoch is as good as not there. An epoch belongs to one run of a server (`run_id` of
INFO): what a server that was started anew has, from a snapshot or as a replica, may be older than a
delete that was confirmed, so the first who comes begins another epoch. It is never used again,
also where the hash was evicted. To forget everything is to begin another epoch, to forget a scope
is to have it begin another one of its own; what it had stays until its time is over.

No value is written but in the place of a lease: what is carried out late, long after its sender
has given up waiting, finds the lease gone when the key was deleted meanwhile.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "uaitools:cache:"
EPOCH: Final = 16  # characters of an epoch
LEASE: Final = 60  # seconds after which a load is too old to be stored
SETTING: Final = 5  # seconds after which who wanted to set a value is taken for dead
SCOPE: Final = 86_400  # seconds after which a scope begins another epoch, at the cost of misses


def prefix_of(name: str) -> str:
    """What the keys of a cache begin with. A brace within it would end the tag."""
    tag = name.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return f"{PREFIX}{{{tag}}}:"


# ARGV  run, epoch: a fresh one
_OPEN: Final = (
    f"local LEASE, SETTING, SCOPE, REST = {LEASE}, {SETTING}, {SCOPE}, {EPOCH + 2}"
    """
local prefix, run = KEYS[1], ARGV[1]
local found = redis.call('HMGET', prefix .. 'epoch', 'run', 'epoch')
local epoch = found[2]
if not epoch or found[1] ~= run then
    epoch = ARGV[2]
    redis.call('HSET', prefix .. 'epoch', 'run', run, 'epoch', epoch)
end
"""
)

# ARGV  run, epoch: a fresh one, key
_KEYED: Final = (
    _OPEN
    + """
local scope = string.match(ARGV[3], '^[^\\n]*\\n')
if scope then
    local text = redis.call('GET', prefix .. 's:' .. scope)
    if not text or string.sub(text, 1, REST - 2) ~= epoch then
        text = epoch .. ARGV[2]
        redis.call('SET', prefix .. 's:' .. scope, text, 'EX', SCOPE)
    end
    epoch = string.sub(text, REST - 1)
end
local function held(key)
    local text = redis.call('GET', key)
    if text and string.sub(text, 2, REST - 1) == epoch then
        return string.sub(text, 1, 1), text
    end
    return '', ''
end
"""
)

# The value.    ARGV  run, epoch, key
#
# Answer: {value}, or {nil}.
GET: Final = (
    _KEYED
    + """
local kind, text = held(prefix .. 'k:' .. ARGV[3])
return {kind == 'v' and string.sub(text, REST)}
"""
)

# Whether there is a value.    ARGV  run, epoch, key
#
# Answer: {0 or 1}.
EXISTS: Final = (
    _KEYED
    + """
local start = redis.call('GETRANGE', prefix .. 'k:' .. ARGV[3], 0, REST - 2)
return {start == 'v' .. epoch and 1 or 0}
"""
)

# The value, or a lease.    ARGV  run, epoch, key, token: a fresh one
#
# Answer: {'v', value}, {'l', lease}, or {'s'} while somebody sets the value.
ASK: Final = (
    _KEYED
    + """
local key = prefix .. 'k:' .. ARGV[3]
local kind, text = held(key)
if kind == 'v' then
    return {'v', string.sub(text, REST)}
elseif kind == 's' then
    return {'s'}
end
local lease = kind == 'l' and text or 'l' .. epoch .. ARGV[4]
redis.call('SET', key, lease, 'EX', LEASE)
return {'l', lease}
"""
)

# In place of whatever there is, a lease for who sets the value.    ARGV  run, epoch, key, token
#
# Answer: {lease}.
CLAIM: Final = (
    _KEYED
    + """
local lease = 's' .. epoch .. ARGV[4]
redis.call('SET', prefix .. 'k:' .. ARGV[3], lease, 'EX', SETTING)
return {lease}
"""
)

# A value in place of its lease.    ARGV  run, epoch, key, lease, ttl in ms, value
#
# Answer: {whether it was kept}.
STORE: Final = (
    _KEYED
    + """
local key = prefix .. 'k:' .. ARGV[3]
local _, text = held(key)
if text ~= ARGV[4] then
    return {0}
end
redis.call('SET', key, 'v' .. epoch .. ARGV[6], 'PX', ARGV[5])
return {1}
"""
)

# Values and leases go.    ARGV  run, epoch, keys and scopes
FORGET: Final = (
    _OPEN
    + """
for i = 3, #ARGV do
    redis.call('DEL', prefix .. 'k:' .. ARGV[i], prefix .. 's:' .. ARGV[i])
end
return {}
"""
)

# Everything goes.    ARGV  run, epoch
CLEAR: Final = """
redis.call('HSET', KEYS[1] .. 'epoch', 'run', ARGV[1], 'epoch', ARGV[2])
return {}
"""
