-- Replaces an entitlement document by a newer one, or one that cannot be read, and announces it; else changes nothing.
--
-- KEYS     1 document    doc:l:<customer> or plan:<plan>:<version>
-- ARGV     1 version     of the new document, rising; also inside the document
--          2 document    JSON with a field `version`
--          3 channel     on which the key is announced
-- RETURNS  1 when it was replaced, 0 when what is there is as new
-- GUARANTEE  Two publishers at once never put an older document over a newer one.

local version = assert(tonumber(ARGV[1]), 'version: expected a number')
assert(ARGV[2] and ARGV[3], 'expected version, document and channel')

local held = redis.call('GET', KEYS[1])
if held then
  local readable, document = pcall(cjson.decode, held)
  if readable and type(document) == 'table' and (tonumber(document.version) or 0) >= version then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], KEYS[1])
return 1
