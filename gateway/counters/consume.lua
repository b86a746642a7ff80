-- Counts one claim against its limit and writes its usage event, or refuses it: all of it or nothing.
--
-- KEYS     1 head    {l17}:head             hash: `line`; for each gateway the highest number it has counted here
--          2 use     {l17}:use:<customer>   hash: <counter> used, <counter>.w its window's start, .v document version
--          3 usage   {l17}:usage            stream of usage events
--          4 idem    {l17}:idem:…           only with a client's idempotency key
-- ARGV     1 line              what the gateway holds to be the line of this bucket
--          2 gateway           its id      3 number   of this claim, rising; 0 peeks: answers and counts nothing
--          4 quantity          1 … 2^53-1  5 version  of the entitlement document decided with
--          6 counter           the limit's name
--          7 window_start_ms   of a calendar window; 0 when the script computes it
--          8 window_end_ms     of a calendar window; else the length of the window
--          9 … in pairs, each where it applies: ceiling N · event PACKED (the feature has a meter)
--            event_id ID · fingerprint F · remember_ms MS (with KEYS 4)
-- RETURNS  {answer, now_ms, used, window_start_ms, event id}
--          COUNTED · REFUSED (over the ceiling) · PEEKED · REPLAYED (this key was counted before) · KEY_REUSED (for
--          another request) · SEEN (a number not above the last: look for its event) · STALE (a newer document was
--          counted with) · WRONG_WINDOW (TIME lies outside) · FENCED (another line) · UNREGISTERED (unknown gateway)
-- GUARANTEE  Everything is validated and read before the first write, which is XADD, or for a claim without an event its
--          counter: what can fail (memory, READONLY, NOREPLICAS, MISCONF) fails there, with nothing changed.

local MAX = 9007199254740991 -- 2^53-1: above it a Lua number is no longer exact
local GRACE_MS = 3600000 -- how long counters outlive their window
local OPTIONAL = { ceiling = true, event = true, event_id = true, fingerprint = true, remember_ms = true }

local function whole(name, text, least)
  local number = text and #text <= 16 and (text == '0' or string.find(text, '^[1-9]%d*$')) and tonumber(text)
  if not number or number < least or number > MAX then
    error({ err = 'BADARG ' .. name .. ' is ' .. tostring(text) .. '; expected a whole number from ' .. least .. ' to 2^53-1' })
  end
  return number
end

-- validate
local number = whole('number', ARGV[3], 0)
local quantity = whole('quantity', ARGV[4], 1)
local version = whole('version', ARGV[5], 1)
local counter = ARGV[6]
local starts = whole('window_start_ms', ARGV[7], 0)
local ends = whole('window_end_ms', ARGV[8], 1)
local given = {}
for i = 9, #ARGV, 2 do
  if not (OPTIONAL[ARGV[i]] and ARGV[i + 1]) then error({ err = 'BADARG ' .. ARGV[i] .. ': no such pair' }) end
  given[ARGV[i]] = ARGV[i + 1]
end
local ceiling = given.ceiling and whole('ceiling', given.ceiling, 0) or MAX
local remember_ms = KEYS[4] and whole('remember_ms', given.remember_ms, 1)
if KEYS[4] and not (given.event_id and given.fingerprint) then
  error({ err = 'BADARG with an idempotency key: expected event_id and fingerprint' })
end

-- read
local head = redis.call('HMGET', KEYS[1], 'line', ARGV[2])
if head[1] ~= ARGV[1] then return { 'FENCED' } end
if not head[2] then return { 'UNREGISTERED' } end
local use = redis.call('HMGET', KEYS[2], counter, counter .. '.w', '.v')
local known = KEYS[4] and redis.call('GET', KEYS[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local calendar = starts > 0
if not calendar then
  starts = now - now % ends
  ends = starts + ends
end
local used = 0
local running = use[1] and whole('the window of ' .. counter, use[2], 0) >= starts
if running then -- also when TIME has stepped back: use counts in the window that is open
  used = whole('the counter ' .. counter, use[1], 0)
  starts = tonumber(use[2])
end

-- decide
local event_id = given.event_id or (ARGV[2] .. '-' .. ARGV[3])
local key_value = KEYS[4] and (given.fingerprint .. ' ' .. ARGV[2] .. '-' .. ARGV[3])
if known and number > 0 then
  if known == key_value then return { 'COUNTED', now, used, starts, event_id } end -- by this very call: its reply was lost
  local same = string.sub(known, 1, #given.fingerprint + 1) == given.fingerprint .. ' '
  return { same and 'REPLAYED' or 'KEY_REUSED', now, used, starts, event_id }
end
if number > 0 and number <= whole('the last number of ' .. ARGV[2], head[2], 0) then
  return { 'SEEN', now, used, starts }
end
if use[3] and whole('the version', use[3], 1) > version then return { 'STALE', now, used, starts } end
if calendar and (now < tonumber(ARGV[7]) or now >= ends) then return { 'WRONG_WINDOW', now, used, starts } end
if used + quantity > ceiling then return { 'REFUSED', now, used, starts } end
if number == 0 then return { 'PEEKED', now, used, starts } end

-- write
if given.event then redis.call('XADD', KEYS[3], '*', 'id', event_id, 'at', now, 'claim', given.event) end
if running then
  used = redis.call('HINCRBY', KEYS[2], counter, quantity)
  if use[3] ~= ARGV[5] then redis.call('HSET', KEYS[2], '.v', ARGV[5]) end
else
  used = quantity
  redis.call('HSET', KEYS[2], counter, ARGV[4], counter .. '.w', starts, '.v', ARGV[5])
  if use[3] then -- the hash lives as long as its longest window
    redis.call('PEXPIREAT', KEYS[2], ends + GRACE_MS, 'GT')
  else
    redis.call('PEXPIREAT', KEYS[2], ends + GRACE_MS)
  end
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
if KEYS[4] then redis.call('SET', KEYS[4], key_value, 'PX', remember_ms) end
return { 'COUNTED', now, used, starts, event_id }
