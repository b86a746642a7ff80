-- Announces a name under the next number; with a document, only when that replaces an older one or an unreadable one.
--
-- KEYS     1 announced   the number of the last announcement
--          2 document    doc:l:<customer> or plan:<plan>:<version>; without it, the name is only announced
-- ARGV     1 channel     on which `<number> <name>` is announced
--          2 name        of what changed
--          3 version     of the new document, rising; also inside the document
--          4 document    JSON with a field `version`
-- RETURNS  1 when it was announced, 0 when the document that is there is as new
-- GUARANTEE  Two publishers at once never put an older document over a newer one; who has heard every number up to n
--            knows of every change up to n; no number is given twice, not even when Redis was emptied.

assert(KEYS[1] and ARGV[1] and ARGV[2], 'expected the key of the number, a channel and a name')
if KEYS[2] then
  local version = assert(tonumber(ARGV[3]), 'version: expected a number')
  assert(ARGV[4], 'expected a document')
  local held = redis.call('GET', KEYS[2])
  if held then
    local readable, document = pcall(cjson.decode, held)
    if readable and type(document) == 'table' and (tonumber(document.version) or 0) >= version then return 0 end
  end
end

-- The number first: should it be refused, nothing has changed that nobody hears of.
local number = redis.call('INCR', KEYS[1])
if number == 1 then -- it was not there: from the clock, in microseconds, it is beyond whatever was counted before
  local time = redis.call('TIME')
  number = time[1] * 1000000 + time[2]
  redis.call('SET', KEYS[1], string.format('%.0f', number))
end
if KEYS[2] then redis.call('SET', KEYS[2], ARGV[4]) end
redis.call('PUBLISH', ARGV[1], string.format('%.0f', number) .. ' ' .. ARGV[2])
return 1
