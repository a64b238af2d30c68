"""What Redis does in one step: the text of its scripts. Pure.

All keys of a cache begin with `uaitools:cache:{NAME}:`, in one slot of a cluster:

    epoch     hash: `run`, `epoch`, see below
    k:KEY     string: the epoch, and the value
    l:KEY     string: the epoch, what lease it is ('l' or 's') and its token
              'l': somebody loads, and whoever else does shares the lease;
              's': somebody sets the value, and no load is to come between
    s:SCOPE   string: the epoch, and the scope's own, which its keys have in place of the epoch

What has another epoch is as good as not there. An epoch belongs to one run of a server (`run_id` of
INFO): what a server that was started anew has, from a snapshot or as a replica, may be older than a
delete that was confirmed, so the first who comes begins another epoch. It is never used again,
also where the hash was evicted. To forget everything is to begin another epoch, to forget a scope
is to have it begin another one of its own; what it had stays until its time is over.

No value is written but for a lease: what is carried out late, long after its sender has given up
waiting, finds the lease gone when the key was deleted meanwhile.
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
    f"local LEASE, SETTING, SCOPE, REST = {LEASE}, {SETTING}, {SCOPE}, {EPOCH + 1}"
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
    if not text or string.sub(text, 1, REST - 1) ~= epoch then
        text = epoch .. ARGV[2]
        redis.call('SET', prefix .. 's:' .. scope, text, 'EX', SCOPE)
    end
    epoch = string.sub(text, REST)
end
local value, lease = prefix .. 'k:' .. ARGV[3], prefix .. 'l:' .. ARGV[3]
local function held(key)
    local text = redis.call('GET', key)
    return text and string.sub(text, 1, REST - 1) == epoch and text
end
"""
)

# The value.    ARGV  run, epoch, key
#
# Answer: {value}, or {nil}.
GET: Final = (
    _KEYED
    + """
local text = held(value)
return {text and string.sub(text, REST)}
"""
)

# Whether there is a value.    ARGV  run, epoch, key
#
# Answer: {0 or 1}.
EXISTS: Final = (
    _KEYED
    + """
return {redis.call('GETRANGE', value, 0, REST - 2) == epoch and 1 or 0}
"""
)

_LEASE: Final = """
local text = held(lease)
if text and string.sub(text, REST, REST) == 's' then
    return {'s'}
end
local first = not text
text = text or epoch .. 'l' .. ARGV[4]
redis.call('SET', lease, text, 'EX', LEASE)
return {'l', text, first and 1 or 0}
"""

# A lease, whatever value there is.    ARGV  run, epoch, key, token: a fresh one
#
# Answer: {'l', lease, 1 if nobody else has it, or else 0}, or {'s'} while somebody sets the value.
RENEW: Final = _KEYED + _LEASE

# The value, or else a lease.    ARGV  run, epoch, key, token: a fresh one
#
# Answer: {'v', value}, or as RENEW.
ASK: Final = (
    _KEYED
    + """
local found = held(value)
if found then
    return {'v', string.sub(found, REST)}
end
"""
    + _LEASE
)

# In place of the value, a lease for who sets it.    ARGV  run, epoch, key, token: a fresh one
#
# Answer: {lease}.
CLAIM: Final = (
    _KEYED
    + """
local text = epoch .. 's' .. ARGV[4]
redis.call('SET', lease, text, 'EX', SETTING)
redis.call('DEL', value)
return {text}
"""
)

# A value, for its lease.    ARGV  run, epoch, key, lease, ttl in ms, value
#
# Answer: {whether it was kept}.
STORE: Final = (
    _KEYED
    + """
if held(lease) ~= ARGV[4] then
    return {0}
end
redis.call('SET', value, epoch .. ARGV[6], 'PX', ARGV[5])
redis.call('DEL', lease)
return {1}
"""
)

# A lease goes without a value.    ARGV  run, epoch, key, lease
RELEASE: Final = (
    _KEYED
    + """
if held(lease) == ARGV[4] then
    redis.call('DEL', lease)
end
return {}
"""
)

# Values and leases go.    ARGV  run, epoch, keys and scopes
FORGET: Final = (
    _OPEN
    + """
for i = 3, #ARGV do
    local key = ARGV[i]
    redis.call('DEL', prefix .. 'k:' .. key, prefix .. 'l:' .. key, prefix .. 's:' .. key)
end
return {}
"""
)

# Everything goes.    ARGV  run, epoch
CLEAR: Final = """
redis.call('HSET', KEYS[1] .. 'epoch', 'run', ARGV[1], 'epoch', ARGV[2])
return {}
"""
