-- Counts the claims of one call, in their order, each with its usage event, or refuses them: the call whole or not at all.
--
-- KEYS     1 head    {l17}:head             hash: `line`; for each gateway the highest number it has counted here
--          2 usage   {l17}:usage            stream of usage events
--          3 …       {l17}:use:<customer>   of each claim a hash: <counter> used, <counter>.w its window's start, .v the
--                    document's version; behind the last of these, for each claim with a key in order, {l17}:idem:…
-- ARGV     1 line    what the gateway holds to be the line of this bucket
--          2 gateway its id
--          3 … five for each claim: counter, the limit's name · numbers, of eight bytes each: quantity, version of the
--          entitlement document, window_start_ms and window_end_ms of a calendar window (or 0 and the length of a
--          window that is computed here), and ceiling, where there is one · event, packed, empty without a meter · key,
--          empty or `event_id fingerprint remember_ms` · number, rising; 0 peeks: answers and counts nothing
-- RULE     A claim is decided against what is read and what the claims before it in the call have made of that.
-- RETURNS  FENCED (another line) or UNREGISTERED (unknown gateway), and nothing was counted; else 25 bytes for each claim:
--          now_ms, a letter, used, window_start_ms. C counted · R refused, over the ceiling · P a peek that has room ·
--          A counted again under its key · K its key came with another request · S a number not above the last: look for
--          its event · V a newer version of the document was counted with · W the window does not hold TIME
-- GUARANTEE  All is validated and read before the first write. XADD is the first write, and behind the last XADD come
--          the counters: what can fail (memory, READONLY, NOREPLICAS, MISCONF) fails first, with nothing changed.

local MAX = 9007199254740991 -- 2^53-1: above it a Lua number is no longer exact
local GRACE_MS = 3600000 -- how long counters outlive their window
local WORDS = 5

local function whole(name, text, least, plain)
  local number = tonumber(text)
  if not number or number < least or number > MAX or number % 1 ~= 0 or plain and text ~= '0' and not string.find(text, '^[1-9]%d*$') then
    error({ err = 'BADARG ' .. name .. ' is ' .. tostring(text) .. '; expected a whole number from ' .. least .. ' to 2^53-1' })
  end
  return number
end

local claims = (#ARGV - 2) / WORDS
if claims < 1 or claims % 1 ~= 0 or #KEYS < 2 + claims then
  error({ err = 'BADARG ' .. #KEYS .. ' keys and ' .. #ARGV .. ' arguments; expected two of each, and a key and five arguments for each claim' })
end

local head = redis.call('HMGET', KEYS[1], 'line', ARGV[2])
if head[1] ~= ARGV[1] then return 'FENCED' end
if not head[2] then return 'UNREGISTERED' end
local last = whole('the last number', head[2], 0)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local answers
local counted -- of each claim that is counted, in threes: where its arguments begin, the place of its hash, its quantity
local unusual -- by where they begin, those of them that do more than add to a counter
local left = claims > 1 and {} -- what the claims before have made of a counter, of a hash's version, of a key
local place, known_at = 3, 2 + claims

for at = 3, #ARGV, WORDS do
  -- validate
  local counter, numbers, number = ARGV[at], ARGV[at + 1], whole('number', ARGV[at + 4], 0, true)
  local quantity, version, starts, ends, ceiling
  if #numbers == 40 then
    quantity, version, starts, ends, ceiling = struct.unpack('>I8I8I8I8I8', numbers)
  elseif #numbers == 32 then
    quantity, version, starts, ends = struct.unpack('>I8I8I8I8', numbers)
    ceiling = MAX
  else
    error({ err = 'BADARG numbers have ' .. #numbers .. ' bytes; expected 32, or 40 with a ceiling' })
  end
  if quantity < 1 or quantity > MAX or version < 1 or version > MAX or starts > MAX or ends < 1 or ends > MAX or ceiling > MAX then
    error({ err = string.format('BADARG quantity is %.0f, version %.0f, window_start_ms %.0f, window_end_ms %.0f, ceiling %.0f; '
      .. 'expected whole numbers up to 2^53-1, the first two and the end at least 1', quantity, version, starts, ends, ceiling) })
  end
  local event_id, fingerprint, remember_ms
  if ARGV[at + 3] ~= '' then
    event_id, fingerprint, remember_ms = string.match(ARGV[at + 3], '^(%S+) (%S+) (%S+)$')
    remember_ms = whole('remember_ms', remember_ms, 1, true)
    known_at = known_at + 1
    if not KEYS[known_at] then error({ err = 'BADARG an idempotency key without its place; expected KEYS ' .. known_at }) end
  end

  -- read
  local before = left and left[KEYS[place]]
  local use, newest
  if before then use, newest = before[counter], before['.v'] end
  if not use then
    if before then
      use = redis.call('HMGET', KEYS[place], counter, counter .. '.w')
    else
      use = redis.call('HMGET', KEYS[place], counter, counter .. '.w', '.v')
      newest = use[3] and whole('the version', use[3], 1)
    end
    if use[1] then
      use[1] = whole('the counter', use[1], 0, true) -- as HINCRBY takes it
      use[2] = whole('the window', use[2], 0)
    end
    if before then
      before[counter] = use
    elseif left then
      before = { [counter] = use, ['.v'] = newest }
      left[KEYS[place]] = before
    end
  end
  local known = event_id and number > 0 and (left and left[KEYS[known_at]] or redis.call('GET', KEYS[known_at]))

  -- decide
  local calendar = starts > 0
  if not calendar then
    starts = now - now % ends
    ends = starts + ends
  end
  local used, began = 0, starts
  local running = use[1] and use[2] >= starts
  if running then used, began = use[1], use[2] end -- also when TIME has stepped back: use counts in the window that is open

  local answer
  if known then
    local by_us = fingerprint .. ' ' .. ARGV[2] .. '-' .. ARGV[at + 4] -- by this very call: its reply was lost
    answer = known == by_us and 'C' or string.sub(known, 1, #fingerprint + 1) == fingerprint .. ' ' and 'A' or 'K'
  elseif number > 0 and number <= last then answer = 'S'
  elseif newest and newest > version then answer = 'V'
  elseif calendar and (now < starts or now >= ends) then answer = 'W'
  elseif used + quantity > ceiling then answer = 'R'
  elseif number == 0 then answer = 'P'
  else
    answer, used, last = 'C', used + quantity, number
    if counted then
      local n = #counted
      counted[n + 1], counted[n + 2], counted[n + 3] = at, place, quantity
    else
      counted = { at, place, quantity }
    end
    if not running or newest ~= version or event_id then
      local value = event_id and fingerprint .. ' ' .. ARGV[2] .. '-' .. ARGV[at + 4]
      unusual = unusual or {}
      unusual[at] = { running, newest, version, began, ends, event_id, value, known_at, remember_ms }
      if left and event_id then left[KEYS[known_at]] = value end
    end
    if before then
      use[1], use[2] = used, began
      before['.v'] = version
    end
  end
  answer = struct.pack('>I8c1I8I8', now, answer, used, began)
  answers = answers and answers .. answer or answer
  place = place + 1
end
if not counted then return answers end

-- write
for n = 1, #counted, 3 do
  local at = counted[n]
  if ARGV[at + 2] ~= '' then
    local event_id = unusual and unusual[at] and unusual[at][6] or ARGV[2] .. '-' .. ARGV[at + 4]
    redis.call('XADD', KEYS[2], '*', 'id', event_id, 'at', now, 'claim', ARGV[at + 2])
  end
end
for n = 1, #counted, 3 do
  local at, place, quantity = counted[n], counted[n + 1], counted[n + 2]
  local running, newest, version, began, ends, event_id, value, known_at, remember_ms = true
  if unusual and unusual[at] then
    running, newest, version, began, ends, event_id, value, known_at, remember_ms = unpack(unusual[at], 1, 9)
  end
  if running then
    redis.call('HINCRBY', KEYS[place], ARGV[at], quantity)
    if newest ~= version then redis.call('HSET', KEYS[place], '.v', version) end
  else
    redis.call('HSET', KEYS[place], ARGV[at], quantity, ARGV[at] .. '.w', began, '.v', version)
    if newest then -- the hash lives as long as its longest window
      redis.call('PEXPIREAT', KEYS[place], ends + GRACE_MS, 'GT')
    else
      redis.call('PEXPIREAT', KEYS[place], ends + GRACE_MS)
    end
  end
  if event_id then redis.call('SET', KEYS[known_at], value, 'PX', remember_ms) end
end
redis.call('HSET', KEYS[1], ARGV[2], last)
return answers
