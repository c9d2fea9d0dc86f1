// An OpenID provider with Keycloak's paths, on loopback. Arguments: folder of its packages, port, settings as JSON:
//   realm, audience, ttl (seconds of access tokens), algorithm, users {name: password}, certificate and key (paths, optional).
//
// POST .../token with grant_type=password gives an opaque access token, which the userinfo endpoint understands. With
// resource=urn:AUDIENCE it gives a signed one (JWT) for that audience instead, to be verified without asking.
// The keys are new at each start.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { pathToFileURL } from 'node:url';

const [, , folder, port, json] = process.argv;
const settings = JSON.parse(json);
const { default: Provider } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));

const scheme = settings.certificate ? 'https' : 'http';
const mount = `/auth/realms/${settings.realm}`;
const paths = '/protocol/openid-connect';
const resource = `urn:${settings.audience}`;
const accounts = Object.entries(settings.users).map(([name, password]) => ({ name, password, sub: `id-of-${name}` }));

const makeKey = (algorithm) => {
  const pair = algorithm.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...pair.privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: algorithm };
};

const resourceServer = {
  audience: settings.audience,
  scope: 'openid profile',
  accessTokenTTL: settings.ttl,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: settings.algorithm } },
};

const provider = new Provider(`${scheme}://127.0.0.1:${port}${mount}`, {
  clients: [{
    client_id: 'krake_client',
    client_secret: 'secret',
    grant_types: ['authorization_code', 'refresh_token', 'password'],
    redirect_uris: ['http://127.0.0.1:9/callback'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_post',
  }],
  jwks: { keys: [...new Set(['RS256', settings.algorithm])].map(makeKey) },
  routes: Object.fromEntries(Object.entries({
    authorization: '/auth', token: '/token', userinfo: '/userinfo', jwks: '/certs', introspection: '/token/introspect',
    revocation: '/revoke', end_session: '/logout',
  }).map(([name, path]) => [name, paths + path])),
  claims: { openid: ['sub'], profile: ['preferred_username'] },
  scopes: ['openid', 'profile', 'offline_access'],
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    userinfo: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: () => resourceServer },
  },
  ttl: { AccessToken: settings.ttl, Grant: 3600, Session: 3600, Interaction: 3600, IdToken: 3600 },
  clockTolerance: 0,
  cookies: { keys: [randomUUID()] },
  extraTokenClaims: (_, token) => ({ preferred_username: accounts.find((each) => each.sub === token.accountId)?.name }),
  findAccount: (_, id) => {
    const account = accounts.find((each) => each.sub === id);
    return account && { accountId: id, claims: () => ({ sub: id, preferred_username: account.name }) };
  },
});

provider.registerGrantType('password', async (context) => {
  const { client, params } = context.oidc;
  const account = accounts.find((each) => each.name === params.username && each.password === params.password);
  if (!account) {
    context.status = 401;
    context.body = { error: 'invalid_grant', error_description: 'Invalid user credentials' };
    return;
  }
  const scope = params.scope || 'openid profile';
  const grant = new provider.Grant({ accountId: account.sub, clientId: client.clientId });
  grant.addOIDCScope(scope);
  const token = new provider.AccessToken({ accountId: account.sub, client, grantId: await grant.save(), gty: 'password', scope });
  if (params.resource === resource) token.resourceServer = new provider.ResourceServer(resource, resourceServer);
  context.body = { access_token: await token.save(), expires_in: settings.ttl, token_type: 'Bearer', scope };
}, ['username', 'password', 'scope', 'resource']);

provider.on('server_error', (_, error) => console.error(error));
const answer = provider.callback();
const serve = (request, response) => {
  if (!request.url.startsWith(`${mount}/`)) {
    response.writeHead(404).end();
    return;
  }
  request.originalUrl = request.url; // from which the provider knows where it is mounted
  request.url = request.url.slice(mount.length);
  answer(request, response);
};
const server = settings.certificate
  ? https.createServer({ cert: readFileSync(settings.certificate), key: readFileSync(settings.key) }, serve)
  : http.createServer(serve);
server.listen(Number(port), '127.0.0.1');
