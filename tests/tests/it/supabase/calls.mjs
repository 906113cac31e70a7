// Runs the pages' TypeScript as it stands: supabase-js, a gateway with the prefix that it wants, and
// PostgREST behind it. Reads {blocks, calls} as JSON from stdin, prints {blocks, calls} with the results.
import crypto from 'node:crypto';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { createClient } from '@supabase/supabase-js';

const { REST_PORT, JWT_SECRET } = process.env;

const gateway = http.createServer((request, response) => {
  const { method, headers } = request;
  const path = request.url.replace(/^\/rest\/v1/, '');
  const upstream = http.request({ host: '127.0.0.1', port: REST_PORT, path, method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  upstream.on('error', (error) => response.writeHead(502).end(error.message));
  request.pipe(upstream);
});
await new Promise((ready) => gateway.listen(0, '127.0.0.1', ready));

function client(role) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ role })}`;
  const key = `${unsigned}.${crypto.createHmac('sha256', JWT_SECRET).update(unsigned).digest('base64url')}`;
  return createClient(`http://127.0.0.1:${gateway.address().port}`, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: class {} }, // never used, and Node 20 has none of its own
  });
}

const { blocks, calls } = JSON.parse(await text(process.stdin));
const service = client('service_role');
const results = { blocks: [], calls: [] };
for (const { code, variables, gives } of blocks) {
  const done = [];
  const scope = {
    ...variables,
    supabase: service,
    supabaseServiceClient: service,
    setInterval: (task, milliseconds) => done.push(task().then(() => milliseconds)),
  };
  const body = `${code.replace(/^import .*$/gm, '')}\nreturn ${gives};`;
  const run = new Function(...Object.keys(scope), `return (async () => { ${body} })()`);
  const value = await run(...Object.values(scope));
  results.blocks.push({ value, intervals: await Promise.all(done) });
}
const clients = {};
for (const { role, code } of calls) {
  clients[role] ??= client(role);
  const run = new Function('supabase', `return (async () => ${code})()`);
  const { status, error, data, count } = await run(clients[role]);
  results.calls.push({ status, code: error?.code ?? null, message: error?.message ?? null, details: error?.details ?? null, data, count });
}
console.log(JSON.stringify(results));
gateway.closeAllConnections();
gateway.close();
