-- Counts the claims of one call, in their order, each with its usage event, or refuses them: a claim whole or not at all.
--
-- KEYS     1 head    {l17}:head             hash: `line`; for each gateway the highest number it has counted here
--          2 usage   {l17}:usage            stream of usage events
--          3 due     {l17}:due              zset of customers by when something they hold is due
--          4 …       of each claim three: {l17}:use:<customer>, a hash: <counter>, .v the document's version, .d when the
--                    first of what is held is due; {l17}:hold:<customer>; {l17}:dues:<customer>. Behind the last of these,
--                    of each claim in order: {l17}:idem:… where it has a key, and a zset of each Seats limit
-- ARGV     1 line    what the gateway holds to be the line of this bucket
--          2 gateway its id
--          3 … five for each claim, of the first 3, 4, 5, 6 and 7: counter · numbers, of eight bytes each: quantity, version of the entitlement document,
--          window_start_ms and window_end_ms of a calendar window (or 0 and the length of a window that is computed here),
--          ceiling · event, packed, empty without a meter · key, empty or `event_id fingerprint remember_ms` · number,
--          rising; 0 peeks: answers and counts nothing. Where it is not one quota, limits as order.lua reads them and two
--          numbers, quantity and version; a third, for how many ms, makes it a reservation. Behind the last claim `atomic`:
--          one refused refuses all
-- RULE     A claim is decided against what is read and what the claims before it in the call have made of that. What is due
--          of its customers ends before that, up to four reservations each, whatever is then answered.
-- RETURNS  FENCED or UNREGISTERED, and nothing was counted; else of each claim: now_ms (8 bytes), a letter, the limit that
--          refuses, how many numbers, and these, of eight bytes each; behind the last claim, of each event that was written,
--          the place of its claim, how long its stream id is, and that.
--          C counted · R refused by a limit · P a peek that has room, or a claim that others of its call keep from being
--          counted · H too much is held · A counted again under its key · K its key came with another request · S a number
--          not above the last: look for its event · V a newer version of the document was counted with · W a window does
--          not hold TIME
-- GUARANTEE  All is validated and read before the first write. XADD is the first write, and behind the last XADD come
--          the counters: what can fail (memory, READONLY, NOREPLICAS, MISCONF) fails first, with nothing changed.

local WORDS, PLACES, HOLDS_MAX = 5, 3, 1000
local atomic = ARGV[#ARGV] == 'atomic' and (#ARGV - 2) % WORDS == 1
local claims = (#ARGV - (atomic and 3 or 2)) / WORDS
local behind = 4 + PLACES * claims -- where the keys begin that not every claim has
if claims < 1 or claims % 1 ~= 0 or #KEYS < behind - 1 then
  error({ err = 'BADARG ' .. #KEYS .. ' keys and ' .. #ARGV .. ' arguments; expected three and two, and three and five of each claim' })
end

-- include footing.lua

local last = whole('the last number', head[2], 0)

-- Claims on one quota each, as most are, of customers of whom nothing is due: the same rules with few tables.
local quotas = not atomic
for at = 4, #ARGV, WORDS do quotas = quotas and #ARGV[at] == 40 end
if quotas then
  local answers, counted, unusual, due = '', nil, nil, false
  local left = claims > 1 and {} -- what the claims before have made of a counter, of a hash's version, of a key
  local place = 4
  for at = 3, #ARGV, WORDS do
    local counter, number = ARGV[at], whole('number', ARGV[at + 4], 0, true)
    local quantity, version, starts, ends, ceiling = struct.unpack('>I8I8I8I8I8', ARGV[at + 1])
    if quantity < 1 or quantity > MAX or version < 1 or version > MAX or starts > START_MAX or ends < 1 or ends > MAX
      or ceiling > MAX then
      error({ err = string.format('BADARG quantity is %.0f, version %.0f, window_start_ms %.0f, window_end_ms %.0f, ceiling %.0f; expected '
        .. 'whole numbers up to 2^53-1, the start up to 2^48-1, all but start and ceiling at least 1', quantity, version, starts, ends, ceiling) })
    end
    local known_at, event_id, fingerprint, remember_ms = behind
    if ARGV[at + 3] ~= '' then
      event_id, fingerprint, remember_ms = string.match(ARGV[at + 3], '^(%S+) (%S+) (%S+)$')
      remember_ms, behind = whole('remember_ms', remember_ms, 1, true), behind + 1
      if not KEYS[known_at] then error({ err = 'BADARG an idempotency key without its place; expected KEYS ' .. known_at }) end
    end

    local before, newest = left and left[KEYS[place]], nil
    local use = before and before[counter]
    if use then newest = before['.v']
    else
      use = redis.call('HMGET', KEYS[place], counter, '.v', '.d')
      newest = before and before['.v'] or use[2] and whole('the version', use[2], 1)
      due = due or use[3] and whole('.d', use[3], 1) <= now
      if use[1] then
        local size, packed = #use[1], use[1]
        if size ~= 13 and size ~= 19 then error({ err = 'BADARG the counter has ' .. size .. ' bytes; expected 13 or 19' }) end
        use[1], use[2] = struct.unpack('>I7I6', packed)
        use[3] = size > 13 and string.sub(packed, 14) or ''
        if use[1] > MAX then error({ err = 'BADARG the counter is above 2^53-1' }) end
      else
        use[1], use[2], use[3] = 0, -1, ''
      end
      if before then before[counter] = use
      elseif left then
        before = { [counter] = use, ['.v'] = newest }
        left[KEYS[place]] = before
      end
    end
    local known = event_id and number > 0 and (left and left[KEYS[known_at]] or redis.call('GET', KEYS[known_at]))

    local calendar, used, rest = starts > 0, 0, ''
    if not calendar then
      starts = now - now % ends
      ends = starts + ends
    end
    local began, runs = starts, use[2] >= starts
    if runs then used, began, rest = use[1], use[2], use[3] end -- also when TIME has stepped back

    local answer
    if known and known == fingerprint .. ' ' .. ARGV[2] .. '-' .. ARGV[at + 4] then answer = 'C' -- here: its reply was lost
    elseif known then answer = string.sub(known, 1, #fingerprint + 1) == fingerprint .. ' ' and 'A' or 'K'
    elseif number > 0 and number <= last then answer = 'S'
    elseif newest and newest > version then answer = 'V'
    elseif calendar and (now < starts or now >= ends) then answer = 'W'
    elseif used + quantity > ceiling then answer = 'R'
    elseif number == 0 then answer = 'P'
    else
      answer, used, last = 'C', used + quantity, number
      if counted then
        local n = #counted
        counted[n + 1], counted[n + 2], counted[n + 3], counted[n + 4] = at, place, used, began
      else
        counted = { at, place, used, began }
      end
      if not runs or newest ~= version or event_id or began ~= starts or rest ~= '' then
        local value = event_id and fingerprint .. ' ' .. ARGV[2] .. '-' .. ARGV[at + 4]
        local moved = began ~= starts and string.format('%s %.0f %.0f', counter, began, quantity)
        unusual = unusual or {}
        unusual[at] = { runs, newest, version, ends, rest, moved, event_id, value, known_at, remember_ms }
        if left and event_id then left[KEYS[known_at]] = value end
      end
      if before then
        use[1], use[2], use[3] = used, began, rest
        before['.v'] = version
      end
    end
    answers = answers .. struct.pack('>I8c1BBI8I8', now, answer, 0, 2, used, began)
    place = place + PLACES
  end

  if not due then
    if not counted then return answers end
    for n = 1, #counted, 4 do
      local at = counted[n]
      if ARGV[at + 2] ~= '' then
        local rare, stream_id = unusual and unusual[at], nil
        local id = rare and rare[7] or ARGV[2] .. '-' .. ARGV[at + 4]
        if rare and rare[6] then
          stream_id = redis.call('XADD', KEYS[2], '*', 'id', id, 'at', now, 'claim', ARGV[at + 2], 'moves', rare[6])
        else
          stream_id = redis.call('XADD', KEYS[2], '*', 'id', id, 'at', now, 'claim', ARGV[at + 2])
        end
        answers = answers .. struct.pack('BB', (at - 3) / WORDS, #stream_id) .. stream_id
      end
    end
    for n = 1, #counted, 4 do
      local at, place, value = counted[n], counted[n + 1], struct.pack('>I7I6', counted[n + 2], counted[n + 3])
      local rare = unusual and unusual[at]
      if not rare then redis.call('HSET', KEYS[place], ARGV[at], value)
      else
        local runs, newest, version, ends, rest, _, event_id, known, known_at, remember_ms = unpack(rare, 1, 10)
        redis.call('HSET', KEYS[place], ARGV[at], value .. rest, '.v', version)
        if not runs then -- the hash lives as long as its longest window
          if ends > START_MAX then redis.call('PERSIST', KEYS[place])
          elseif newest then redis.call('PEXPIREAT', KEYS[place], ends + GRACE_MS, 'GT')
          else redis.call('PEXPIREAT', KEYS[place], ends + GRACE_MS) end
        end
        if event_id then redis.call('SET', KEYS[known_at], known, 'PX', remember_ms) end
      end
    end
    redis.call('HSET', KEYS[1], ARGV[2], last)
    return answers
  end
  last, behind = tonumber(head[2]), 4 + PLACES * claims
end

-- All others: unpack, read, decide, write.
-- include counters.lua
-- include order.lua

local kinds, held, known_of = {}, {}, {}
for _, customer in ipairs(customers) do
  read(customer)
  if customer.due and customer.due <= now then customer.holds, holds = true, true end
end
if pools or seats then
-- include pools.lua
end
if holds then
-- include holds.lua
  for _, customer in ipairs(customers) do
    if customer.holds then held.look(customer, 4) end
  end
end
for _, claim in ipairs(asked) do
  if claim.known_at and claim.number > 0 then
    local key = KEYS[claim.known_at]
    known_of[key] = known_of[key] or redis.call('GET', KEYS[claim.known_at])
    if claim.ttl_ms and not known_of[key] and held.has(claim.customer, claim.event_id) then
      known_of[key] = claim.fingerprint .. ' -' -- it is remembered for less long than what is held under it
    end
  end
  if seats then
    for _, limit in ipairs(claim.limits) do kinds.read(limit) end
  end
end

-- include limits.lua

local counted, fails = {}, false
for _, claim in ipairs(asked) do
  local customer, limits, number, inside, refused = claim.customer, claim.limits, claim.number, true, nil
  for place = 1, #limits do
    local fits, within = rule(limits[place], claim.quantity)
    if not fits then refused = refused or place - 1 end
    inside = inside and within
  end
  local by = ARGV[2] .. '-' .. ARGV[claim.at + 4]
  local key = claim.known_at and KEYS[claim.known_at]
  local known, answer = key and number > 0 and known_of[key], nil
  if known then
    local same = string.sub(known, 1, #claim.fingerprint + 1) == claim.fingerprint .. ' '
    answer = known == claim.fingerprint .. ' ' .. by and 'C' or same and 'A' or 'K'
    fails = fails or answer == 'K'
  elseif number > 0 and number <= last then answer, fails = 'S', true
  elseif customer.version and customer.version > claim.version then answer, fails = 'V', true
  elseif not inside then answer, fails = 'W', true
  elseif refused then answer, claim.decided, fails = 'R', refused, true
  elseif claim.ttl_ms and customer.open >= HOLDS_MAX then answer, fails = 'H', true
  elseif number == 0 then answer = 'P'
  else
    answer, last, counted[#counted + 1] = 'C', number, claim
    if atomic then claim.before = shown(limits) end
    local first = limits[1]
    if claim.ttl_ms or claim.kept ~= 1 or first.letter ~= 'Q' or first.start ~= (first.one > 0 and first.one or now - now % first.two) then list_moves(claim) end
    for place = 1, #limits do count(limits[place], customer, claim.quantity) end
    customer.version, customer.counted = claim.version, claim.version
    claim.id = claim.event_id or by
    if key then known_of[key] = claim.fingerprint .. ' ' .. by end
    if claim.ttl_ms then held.reserve(customer, claim, ARGV[claim.at + 2]) end
  end
  claim.answer, claim.shown = answer, shown(limits)
end
if atomic and fails then
  for _, claim in ipairs(counted) do claim.answer, claim.shown = 'P', claim.before end
  for _, customer in ipairs(customers) do
    if customer.holds then held.restart(customer) else restart_all(customer) end
  end
  counted = {}
end

if holds then
  for _, customer in ipairs(customers) do
    if customer.holds then held.write_ends(customer) end
  end
end
for _, claim in ipairs(counted) do
  local event = ARGV[claim.at + 2]
  if event == '' then -- of what has no meter
  elseif claim.told then
    claim.stream_id = redis.call('XADD', KEYS[2], '*', 'id', claim.id, 'at', now, 'claim', event, 'moves', claim.told)
  else
    claim.stream_id = redis.call('XADD', KEYS[2], '*', 'id', claim.id, 'at', now, 'claim', event)
  end
end
for _, customer in ipairs(customers) do
  if customer.counted or customer.holds then write(customer, customer.holds and held.write(customer) or {}) end
end
for _, claim in ipairs(counted) do
  if claim.known_at then
    redis.call('SET', KEYS[claim.known_at], known_of[KEYS[claim.known_at]], 'PX', claim.remember_ms)
  end
  if seats then
    for _, limit in ipairs(claim.limits) do kinds.write(limit) end
  end
end
if #counted > 0 then redis.call('HSET', KEYS[1], ARGV[2], last) end
local answers, ids = {}, {}
for n, claim in ipairs(asked) do
  answers[n] = struct.pack('>I8c1B', now, claim.answer, claim.decided) .. claim.shown
  if claim.stream_id then ids[#ids + 1] = struct.pack('BB', n - 1, #claim.stream_id) .. claim.stream_id end
end
return table.concat(answers) .. table.concat(ids)
