-- Sends the request in a file, with {n} and {agent} in it replaced by numbers that are others each time, and prints
-- what the run measured as one line of JSON: wrk ... URL -- FILE MILLISECONDS
-- The milliseconds are what a connection waits between an answer and its next request, on average; 0: it does not.

local function count()
  local n = 100000
  return function()
    n = n + 7919
    if n > 999999 then n = n - 899999 end
    return n
  end
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local template = file:read("*a")
  file:close()
  local parts, places = {}, {}
  local rest = template
  while true do
    local from, to, name = rest:find("{(%l+)}")
    if not from then break end
    parts[#parts + 1] = rest:sub(1, from - 1)
    parts[#parts + 1] = ""
    places[#parts] = name
    rest = rest:sub(to + 1)
  end
  parts[#parts + 1] = rest
  local next_number = count()
  request = function()
    if #parts == 1 then return template end
    local n = next_number()
    for place, name in pairs(places) do
      parts[place] = name == "n" and n or 1000 + n % 1000
    end
    return table.concat(parts)
  end
  local wait = tonumber(args[2])
  if wait > 0 then
    delay = function() return math.floor(math.random() * (2 * wait + 1)) end
  end
end

done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.4f, "p90_ms": %.4f, "p99_ms": %.4f, '
      .. '"p999_ms": %.4f, "max_ms": %.4f, "bad_answers": %d, "failures": %d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
