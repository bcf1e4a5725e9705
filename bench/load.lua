-- wrk -s load.lua URL -- BODIES 'Name: value' ...
-- POSTs the bodies of the file BODIES in turn with those headers, then prints one line of JSON;
-- times are in microseconds. The file holds lines "length\n", each followed by that many bytes.

local requests, last = {}, 0

function init(args)
   local headers = {}
   for i = 2, #args do
      local name, value = args[i]:match("^([^:]+): (.*)$")
      headers[name] = value
   end
   local file = assert(io.open(args[1], "rb"))
   for length in function() return file:read("*l") end do
      local body = file:read(tonumber(length))
      requests[#requests + 1] = wrk.format("POST", nil, headers, body)
   end
   file:close()
end

function request()
   last = last % #requests + 1
   return requests[last]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "duration": %d, "p50": %d, "p99": %d, "failed": %d, "not_2xx": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.timeout, errors.status
   ))
end
