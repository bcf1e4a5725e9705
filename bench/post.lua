-- wrk -s post.lua … -- BODY_FILE 'Name: value' …: POSTs that body with those headers, and ends
-- with one line of JSON. Latencies and times are in microseconds, as wrk has them.

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.method = "POST"
   wrk.body = file:read("*a")
   file:close()
   for i = 2, #args do
      local name, value = args[i]:match("^([^:]+): (.*)$")
      wrk.headers[name] = value
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "bytes": %d, "duration": %d, "p50": %d, "p99": %d, '
         .. '"failed": %d, "not_2xx": %d}\n',
      summary.requests, summary.bytes, summary.duration,
      latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.timeout, errors.status
   ))
end
