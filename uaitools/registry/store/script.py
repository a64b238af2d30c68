"""What Redis does in one step: the text of its scripts. Pure.

Every key begins with PREFIX, whose braces keep them in one slot of a cluster:

    head               hash: `epoch`; `seq` of the last entry; `kept`, at which the snapshot stands;
                       the last `generation`; the clock; `before` and `base`, see CLAIM
    log                stream of events, their ids `SEQ-0`: one that is missing shows
    snapshot           the table as of `kept`
    leases             ZSET: `GENERATION NUL ID`, by the time until which it is believed to live
    registries         ZSET: who lives, by their last sign of life
    confirmed          hash: of each registry up to when it knows the log, and has told of watchers
    writers            hash: of each registry the number of its last append, so that one that is
                       sent twice, or arrives late, happens once
    watchers:EPOCH:X   hash: who watches service X: `REVISION TIME`

Times are microseconds of the shared clock, which every call moves as WatchedClock does: a step
counts for STEP at most. So a Redis that was away, or whose machine's clock jumps, ages nobody.
After such a step, and while a registry has vanished without a word, nobody's silence is judged:
heartbeats may be on their way. TIME before a write needs Redis 5, ZMSCORE and GT 6.2.

Every script but LOOK, LOAD and CLAIM begins with the epoch and the seq that the caller knows, and
does nothing but answer {'again'} when history is another one.
"""

from __future__ import annotations

from typing import Final

from uaitools.registry.clock import STEP
from uaitools.registry.watchers import CROWD, LIVE, MOST

FORMAT: Final = 2  # of everything here; registries of another one keep away
SECOND: Final = 1_000_000
BATCH: Final = 128  # events sent together
PREFIX: Final = "{uaitools:registry}:"
GAP: Final = 2.0  # seconds: registries look every second, so for so long nobody could
PAUSE: Final = 10.0  # seconds in which nobody is judged after a gap
PRESENT: Final = 3.0  # seconds after its last sign of life in which a registry counts as there
VANISHED: Final = 15.0  # seconds for its instances to turn to another one
GONE: Final = 60.0  # seconds after which it is forgotten
# Seconds for registries to tell of their watchers after history was lost: one that was stopped
# meanwhile is no longer known, though its watchers are there.
SETTLE: Final = GONE
OVERDUE: Final = 1000  # leases that are over told at once
LONGEST: Final = 100_000  # entries after the snapshot, then no more are taken
LEAP: Final = 1000  # generations left out when history was lost: who knows which were given

_MICROSECONDS: Final = {
    "STEP": STEP,
    "GAP": GAP,
    "PAUSE": PAUSE,
    "PRESENT": PRESENT,
    "VANISHED": VANISHED,
    "GONE": GONE,
    "SETTLE": SETTLE,
    "LIVE": LIVE,
}


def _script(body: str) -> str:
    times = "".join(f"local {k} = {int(v * SECOND)}\n" for k, v in _MICROSECONDS.items())
    numbers = (
        f"local FORMAT, OVERDUE, LONGEST, LEAP, MOST = "
        f"{FORMAT}, {OVERDUE}, {LONGEST}, {LEAP}, {MOST}\nlocal CROWD = '{CROWD}'\n"
    )
    return times + numbers + _COMMON + body


# The clock moves only once there is an epoch: an empty Redis stays empty until it is claimed.
_COMMON: Final = """
local prefix = KEYS[1]
local head, log, leases = prefix .. 'head', prefix .. 'log', prefix .. 'leases'
local registries, writers = prefix .. 'registries', prefix .. 'writers'
local confirmed = prefix .. 'confirmed'
local function whole(number)
    return string.format('%.0f', number)
end
local function watchers(service)
    return prefix .. 'watchers:' .. ARGV[1] .. ':' .. service
end

local found = redis.call('HMGET', head, 'epoch', 'seq', 'kept', 'raw', 'now', 'judge', 'claimed')
local epoch = found[1] or ''
local seq, kept = tonumber(found[2] or '0'), tonumber(found[3] or '0')
local time = redis.call('TIME')
local raw = time[1] * 1000000 + time[2]
local now, judge = tonumber(found[5] or '0'), tonumber(found[6] or '0')
local claimed = tonumber(found[7] or '0')
if epoch ~= '' then
    local passed = math.max(raw - tonumber(found[4]), 0)
    now = now + math.min(passed, STEP)
    if passed > GAP then
        judge = now + PAUSE
    end
    redis.call('HSET', head, 'raw', whole(raw), 'now', whole(now), 'judge', whole(judge))
end
"""

_KNOWN: Final = """
if epoch == '' or epoch ~= ARGV[1] or seq < tonumber(ARGV[2]) then
    return {'again'}
end
"""

# An event becomes the next entry of the log.
#
#     ARGV  epoch, seq, writer, number, kind, event, id, member, life, due, generation
#
# member: of the lease that the instance has had so far; life: microseconds that a new one holds,
# 0 for none. generation: of a registration that another history knew, '' for the next. A pass of
# time is left out when it has passed since `due`, a silence when its lease is no longer over, or
# somebody else has said so.
#
# Answer: {'stored', seq, now}, {'idle', seq} when it was left out, {'repeated'} when that number
# was seen before, {'full'} when nobody writes snapshots any more.
APPEND: Final = _script(
    _KNOWN
    + """
local number, kind, member, life = tonumber(ARGV[4]), ARGV[5], ARGV[8], tonumber(ARGV[9])
if number <= tonumber(redis.call('HGET', writers, ARGV[3]) or '0') then
    return {'repeated'}
end
if seq - kept >= LONGEST then
    return {'full'}
end
local generation, forgotten = '', nil
if kind == 'pass' then
    local last = tonumber(redis.call('HGET', head, 'at') or '0')
    if now < tonumber(ARGV[10]) or last >= tonumber(ARGV[10]) then
        return {'idle', seq}
    end
elseif kind == 'silence' then
    local deadline = redis.call('ZSCORE', leases, member)
    if not deadline or tonumber(deadline) > now or now < judge then
        return {'idle', seq}
    end
    forgotten = member
elseif kind == 'register' then
    generation = ARGV[11]
    if generation == '' then
        generation = whole(redis.call('HINCRBY', head, 'generation', 1))
    end
    forgotten, member = member, generation .. '\\0' .. ARGV[7]
elseif kind == 'deregister' then
    forgotten = member
end
seq = seq + 1
local stored = redis.pcall('XADD', log, whole(seq) .. '-0', 'epoch', epoch,
    'by', ARGV[3] .. ':' .. ARGV[4], 'at', whole(now), 'generation', generation,
    'event', ARGV[6])
if type(stored) == 'table' then
    return {'again'}  -- somebody else has written into the log: whoever looks sees it
end
redis.call('HSET', writers, ARGV[3], ARGV[4])
if forgotten then
    redis.call('ZREM', leases, forgotten)
end
if life > 0 then
    redis.call('ZADD', leases, 'GT', whole(now + life), member)
end
redis.call('HSET', head, 'seq', whole(seq), 'at', whole(now))
return {'stored', seq, whole(now)}
"""
)

# A registry lives, and tells of leases.
#
#     ARGV  epoch, seq, registry, mode, upto, n, n members to forget, then pairs of member, life
#
# mode: 'renew' those that there are, 'grant' to all, or 'fill' in those that are missing. upto: the
# time up to which it confirms that it knows the log and has told of its watchers; 0 to say nothing.
#
# Answer: {'alive', seq, now, kept, leases that are over, registries that live}.
BEAT: Final = _script(
    _KNOWN
    + """
local options = {renew = {'XX', 'GT'}, grant = {'GT'}, fill = {'NX'}}
for i = 7, 6 + tonumber(ARGV[6]) do
    redis.call('ZREM', leases, ARGV[i])
end
local words = {}
for i = 7 + tonumber(ARGV[6]), #ARGV, 2 do
    words[#words + 1] = whole(now + tonumber(ARGV[i + 1]))
    words[#words + 1] = ARGV[i]
    if #words == 1000 or i + 1 == #ARGV then
        local all = {'ZADD', leases}
        for _, word in ipairs(options[ARGV[4]]) do
            all[#all + 1] = word
        end
        for _, word in ipairs(words) do
            all[#all + 1] = word
        end
        redis.call(unpack(all))
        words = {}
    end
end
redis.call('ZADD', registries, whole(now), ARGV[3])
if tonumber(ARGV[5]) > 0 then
    redis.call('HSET', confirmed, ARGV[3], ARGV[5])
end
local present = {}
local known = redis.call('ZRANGE', registries, 0, -1, 'WITHSCORES')
for i = 1, #known, 2 do
    local silent = now - tonumber(known[i + 1])
    if silent < PRESENT then
        present[#present + 1] = known[i]
    elseif silent < GONE then
        judge = math.max(judge, tonumber(known[i + 1]) + VANISHED)
    else
        redis.call('ZREM', registries, known[i])
        redis.call('HDEL', writers, known[i])
        redis.call('HDEL', confirmed, known[i])
    end
end
redis.call('HSET', head, 'judge', whole(judge))
local over = {}
if now >= judge then
    over = redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now), 'LIMIT', 0, OVERDUE)
end
return {'alive', seq, whole(now), kept, over, present}
"""
)

# A registry ends, and its clients turn to others at once.
#
#     ARGV  epoch, seq, registry
LEAVE: Final = _script(
    _KNOWN
    + """
redis.call('ZREM', registries, ARGV[3])
redis.call('HDEL', writers, ARGV[3])
redis.call('HDEL', confirmed, ARGV[3])
return {'left'}
"""
)

# What watchers have applied. Of too many none is forgotten for another one, since he may still
# send: who comes in vain is remembered together with others as CROWD, who has applied nothing.
#
#     ARGV  epoch, seq, then service, watcher, revision of each; revision '' for one that leaves
APPLIED: Final = _script(
    _KNOWN
    + """
local function full(key)
    if redis.call('HLEN', key) < MOST then
        return false
    end
    local crowd = redis.call('HGET', key, CROWD)
    if crowd and now - tonumber(string.match(crowd, ' (%d+)$')) < GAP then
        return true  -- it has just been looked at
    end
    local known = redis.call('HGETALL', key)
    for i = 1, #known, 2 do
        if now - tonumber(string.match(known[i + 1], ' (%d+)$')) >= LIVE then
            redis.call('HDEL', key, known[i])
        end
    end
    return redis.call('HLEN', key) >= MOST
end

for i = 3, #ARGV, 3 do
    local key, watcher, revision = watchers(ARGV[i]), ARGV[i + 1], tonumber(ARGV[i + 2])
    if revision == nil then
        redis.call('HDEL', key, watcher)
    else
        local before = redis.call('HGET', key, watcher)
        if before then
            revision = math.max(revision, tonumber(string.match(before, '^(%d+)')))
        elseif full(key) then
            watcher, revision = CROWD, 0
        end
        redis.call('HSET', key, watcher, whole(revision) .. ' ' .. whole(now))
        redis.call('PEXPIRE', key, whole(2 * LIVE / 1000))
    end
end
return {'noted'}
"""
)

# Live watchers of a service that have not applied a revision.
#
#     ARGV  epoch, seq, service, revision, revised: when that came, registry: who asks
#
# Answer: {'late', whether registries may not have told of theirs yet, how many of the others have
# not confirmed that they know of it, the names of the late}. Who has fallen silent may go on
# serving old lists until it is GONE.
LATE: Final = _script(
    _KNOWN
    + """
local late = {}
local known = redis.call('HGETALL', watchers(ARGV[3]))
for i = 1, #known, 2 do
    local revision, at = string.match(known[i + 1], '^(%d+) (%d+)$')
    if now - tonumber(at) < LIVE and tonumber(revision) < tonumber(ARGV[4]) then
        late[#late + 1] = known[i]
    end
end
local unconfirmed = 0
for _, one in ipairs(redis.call('ZRANGEBYSCORE', registries, '(' .. whole(now - GONE), '+inf')) do
    local upto = redis.call('HGET', confirmed, one)
    if one ~= ARGV[6] and (not upto or tonumber(upto) < tonumber(ARGV[5])) then
        unconfirmed = unconfirmed + 1
    end
end
return {'late', now < claimed + SETTLE and 1 or 0, unconfirmed, late}
"""
)

# Where a reader stands.
#
#     ARGV  epoch, seq, by: of the entry that it applied last, '' when that is not known
#
# Answer: {'empty'}; {'other'} when it has to load the snapshot; {'lost'} when entries that it knows
# are not there, or the last is none of ours; {'there', seq, now} when it may read on.
LOOK: Final = _script(
    """
local at = tonumber(ARGV[2])
if epoch == '' then
    return {'empty'}
elseif epoch ~= ARGV[1] then
    return {'other'}
elseif seq < at then
    return {'lost'}
end
local entry = redis.call('XRANGE', log, whole(at) .. '-0', whole(at) .. '-0')[1]
if entry and ARGV[3] ~= '' and entry[2][4] ~= ARGV[3] then
    return {'lost'}
end
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if last and last[1] ~= whole(seq) .. '-0' then
    return {at == seq and 'lost' or 'other'}
end
local after = redis.call('XRANGE', log, whole(at) .. '-1', '+', 'COUNT', 1)[1]
local there = at == seq or after and after[1] == whole(at + 1) .. '-0'
return {there and 'there' or 'other', seq, whole(now)}
"""
)

# Where to begin.
#
# Answer: {'empty'} or {'kept', format, epoch, seq, kept, snapshot, before, base}.
LOAD: Final = _script(
    """
if epoch == '' then
    return {'empty'}
end
local more = redis.call('HMGET', head, 'format', 'before', 'base')
return {'kept', tonumber(more[1]), epoch, seq, kept, redis.call('GET', prefix .. 'snapshot') or '',
    more[2] or '', tonumber(more[3] or '0')}
"""
)

# History was lost, and who finds that out first begins another, with the table that it has.
#
#     ARGV  found, epoch, before, base, generation, now, snapshot, event
#
# found: the epoch that is there, '' for none. before, base: the epoch of the table and the entry
# up to which it goes, so that whoever knows more can tell. event: one with which the log begins, so
# that all who read it wake up.
#
# Answer: {'claimed', kept}, or {'other'} when somebody else was first.
CLAIM: Final = _script(
    """
if epoch ~= ARGV[1] then
    return {'other'}
end
local base = tonumber(ARGV[4])
seq, now = math.max(seq, base), math.max(now, tonumber(ARGV[6]))
local generation = tonumber(redis.call('HGET', head, 'generation') or '0')
-- They begin at the time of day: what nobody knows any more is not given again.
generation = math.max(generation, tonumber(ARGV[5]), raw) + LEAP
redis.call('DEL', log, leases)
redis.call('SET', prefix .. 'snapshot', ARGV[7])
redis.call('HSET', head, 'format', FORMAT, 'epoch', ARGV[2], 'seq', whole(seq + 1),
    'kept', whole(seq), 'generation', whole(generation), 'raw', whole(raw), 'now', whole(now),
    'judge', whole(now + PAUSE), 'at', whole(now), 'before', ARGV[3], 'base', whole(base),
    'claimed', whole(ARGV[3] == '' and 0 or now))
redis.call('XADD', log, whole(seq + 1) .. '-0', 'epoch', ARGV[2], 'by', 'claim', 'at', whole(now),
    'generation', '', 'event', ARGV[8])
return {'claimed', seq}
"""
)

# A snapshot takes the place of an older one. What came before that one is dropped from the log:
# who reads slowly has until the next.
#
#     ARGV  epoch, seq, at: the entry up to which it goes, snapshot
KEEP: Final = _script(
    _KNOWN
    + """
local at = tonumber(ARGV[3])
if at > kept then
    redis.call('SET', prefix .. 'snapshot', ARGV[4])
    redis.call('HSET', head, 'kept', whole(at))
    redis.call('XTRIM', log, 'MINID', whole(kept + 1) .. '-0')
end
return {'kept'}
"""
)
