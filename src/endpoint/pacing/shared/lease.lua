-- Gives a process the next part of a shared quota, by GCRA on this server's clock.
-- KEYS: the quota (a hash of theoretical arrival times), and who takes part (a sorted set).
-- ARGV: the process; the pause that it reports; 1 if this server was away to it, else 0; and for requests, then for tokens: how many it
-- asks for, the time of one, and what may be spent at once, as a time. All times in microseconds. A time of 0: no such limit.
-- Returns when the first request and the first token of the lease may go, from now (negative: some may go at once); how long
-- the quota is paused; and how many processes took part in the last minute.
local QUIET = 500000 -- Before a new quota begins: what was leased before the server lost it may still be on its way.
local MINUTE = 60000000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local known = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'paused')
local paused = tonumber(known[3] or '0')
if tonumber(ARGV[2]) > 0 then
  paused = math.max(paused, now + tonumber(ARGV[2]))
end

local function lease(arrival, amount, period, burst)
  if period == 0 then
    return 0, 0
  end
  arrival = tonumber(arrival or '0')
  if arrival == 0 then
    arrival = now + QUIET + burst
  end
  arrival = math.max(arrival, now, paused > now and paused + burst or 0)
  if ARGV[3] == '1' then
    -- Meanwhile it sent without asking, so nothing was saved up.
    arrival = math.max(arrival, now + burst)
  end
  return math.ceil(arrival + amount * period), arrival - burst - now
end

local requests, first = lease(known[1], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
local tokens, first_token = lease(known[2], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]))
redis.call('HSET', KEYS[1], 'requests', string.format('%.0f', requests), 'tokens', string.format('%.0f', tokens),
  'paused', string.format('%.0f', paused))
redis.call('PEXPIRE', KEYS[1], 3600000)
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - MINUTE))
redis.call('PEXPIRE', KEYS[2], 3600000)
return { first, first_token, math.max(0, paused - now), redis.call('ZCARD', KEYS[2]) }
