// An OpenID provider for integration tests, configured by the JSON in OIDC_PROVIDER_CONFIG or in the file argv[2]:
//
//   port                 number, required; the listener is always bound to 127.0.0.1
//   host                 host name in the issuer, "127.0.0.1" (default) or "localhost"
//   clients              list of RFC 7591 client metadata, including client_id (and client_secret)
//   accounts             {"alice": {"password": "optional", "claims": {"email": "...", "groups": ["..."]}}}
//   ttl                  seconds by artifact: access_token, authorization_code, id_token, refresh_token, session, ...
//   refresh_rotation     whether each use of a refresh token replaces it (default true)
//   claims_in_id_token   whether ID tokens of the code flow carry the scopes' claims (default false: userinfo only)
//   tls                  {certificate, key, ca}: PEM files of the server, and of the authority of clients' certificates
//   https                whether the issuer is an https one (default false); needs tls
//   mtls_port            second listener, https, that asks for clients' certificates: mtls_endpoint_aliases; needs tls
//   request_certificates whether the issuer's own https listener asks for them (default false)
//   features             what is switched on beyond the code flow, pushed requests, introspection, revocation and logout:
//     acr_values                   list of values that a sign-in satisfies when it is asked for them, by one of them if need be anew
//     authorization_details_types  list of types (RFC 9396); these requests name a resource too
//     claims_parameter             OIDC Core 5.5
//     dpop_nonce                   whether every DPoP proof needs a nonce (RFC 9449 8, 9)
//     encryption                   of whatever JWT a client's metadata asks for, and of request objects
//     fapi                         the client metadata "fapi_profile": "2.0"
//     jarm                         response modes jwt, query.jwt, fragment.jwt and form_post.jwt
//     jwt_introspection            RFC 9701
//     jwt_userinfo                 signed, and with `encryption` encrypted, userinfo
//     more_algorithms              signing keys for PS256 and EdDSA beside RS256 and ES256, and HS256
//     par_required                 for all clients (one: its metadata require_pushed_authorization_requests)
//     registration_token           initial access token of dynamic registration, which is off without one
//     request_objects              RFC 9101, by value
//     resources                    {"https://api.example": {"scope": "read", "format": "jwt", "alg": "ES256"}} (RFC 8707)
//     rotate_registration_token    whether an update of a client replaces its registration access token (default true)

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DEFAULT_FEATURES, enabledAlgorithms, providerFeatures } from './features.mjs';
import { accountFinder, interactionPolicy, interactionRoute } from './interactions.mjs';
import { providerKeys } from './keys.mjs';
import { logoutSource, postLogoutSuccessSource, renderError } from './pages.mjs';
import { hasMtls, makeServers, mtlsMetadata } from './tls.mjs';

// Stdout carries the READY line alone; the library's notices go to stderr.
console.info = console.error;
console.log = console.error;
const { default: Provider, errors, interactionPolicy: libraryPolicy } = await import('oidc-provider');
const { default: MemoryAdapter } = await import('oidc-provider/lib/adapters/memory_adapter.js');

const LISTEN_ADDRESS = '127.0.0.1';

const DEFAULT_CONFIG = {
  host: LISTEN_ADDRESS,
  clients: [],
  accounts: {},
  ttl: {},
  refresh_rotation: true,
  claims_in_id_token: false,
  https: false,
  request_certificates: false,
};

const CLIENT_AUTH_METHODS = [
  'none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
];
const MTLS_AUTH_METHODS = ['tls_client_auth', 'self_signed_tls_client_auth'];

const CLAIMS_BY_SCOPE = {
  acr: null,
  amr: null,
  sid: null,
  auth_time: null,
  iss: null,
  openid: ['sub'],
  email: ['email', 'email_verified'],
  phone: ['phone_number', 'phone_number_verified'],
  address: ['address'],
  profile: [
    'name', 'family_name', 'given_name', 'middle_name', 'nickname', 'preferred_username', 'profile',
    'picture', 'website', 'gender', 'birthdate', 'zoneinfo', 'locale', 'updated_at',
  ],
  groups: ['groups'],
};

const DEFAULT_TTL = {
  access_token: 300,
  authorization_code: 60,
  grant: 86400,
  id_token: 300,
  interaction: 600,
  refresh_token: 86400,
  session: 86400,
};

/** The storage behind the library's own memory adapter, without that adapter's limit of 1000 entries. */
class ExpiringMap {
  #entries = new Map();

  get(key) {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.expires > Date.now()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key, value, { maxAge = Infinity } = {}) {
    this.#entries.set(key, { value, expires: Date.now() + maxAge });
  }

  delete(key) {
    return this.#entries.delete(key);
  }
}

/** Counts of calls, by endpoint name and, for the token endpoint, by grant type. */
class Stats {
  #counts = {};

  add(name) {
    this.#counts[name] = (this.#counts[name] ?? 0) + 1;
  }

  addCall(name, status) {
    this.add(name);
    if (status >= 400) this.add(`${name}.error`);
  }

  clear() {
    this.#counts = {};
  }

  toJSON() {
    return this.#counts;
  }
}

function readConfig() {
  const text = process.argv[2] ? readFileSync(process.argv[2], 'utf8') : process.env.OIDC_PROVIDER_CONFIG;
  if (!text) throw new Error('give the configuration in OIDC_PROVIDER_CONFIG or as a file name');
  const config = JSON.parse(text);
  if (!Number.isInteger(config.port)) throw new Error('port must be an integer');
  return { ...DEFAULT_CONFIG, ...config, features: featuresOf(config) };
}

function featuresOf({ features = {} }) {
  const unknown = Object.keys(features).filter((name) => !Object.hasOwn(DEFAULT_FEATURES, name));
  if (unknown.length) throw new Error(`unknown features: ${unknown.join(', ')}`);
  return { ...DEFAULT_FEATURES, ...features };
}

function camelCase(name) {
  return name.split('_').map((word) => word[0].toUpperCase() + word.slice(1)).join('');
}

function ttlConfiguration(overrides) {
  const entries = Object.entries({ ...DEFAULT_TTL, ...overrides });
  return Object.fromEntries(entries.map(([name, seconds]) => [camelCase(name), seconds]));
}

function countCalls(stats) {
  return async (ctx, next) => {
    await next();
    const route = ctx.oidc?.route;
    if (route === undefined) return;
    stats.addCall(route, ctx.status);
    if (route === 'token') stats.addCall(`token.${ctx.oidc.params?.grant_type}`, ctx.status);
  };
}

function statsRoute(stats) {
  return async (ctx, next) => {
    if (ctx.method === 'GET' && ctx.path === '/__stats') {
      ctx.body = stats.toJSON();
    } else if (ctx.method === 'POST' && ctx.path === '/__reset') {
      stats.clear();
      ctx.status = 204;
    } else {
      await next();
    }
  };
}

function providerConfiguration(config) {
  const store = new ExpiringMap();
  return {
    acrValues: config.features.acr_values,
    adapter: (model) => new MemoryAdapter(model, store),
    claims: CLAIMS_BY_SCOPE,
    clientAuthMethods: hasMtls(config) ? [...CLIENT_AUTH_METHODS, ...MTLS_AUTH_METHODS] : CLIENT_AUTH_METHODS,
    clients: config.clients,
    clockTolerance: 0,
    conformIdTokenClaims: !config.claims_in_id_token,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    discovery: mtlsMetadata(config),
    enabledJWA: enabledAlgorithms(config.features),
    extraClientMetadata: { properties: config.features.fapi ? ['fapi_profile'] : [] },
    features: {
      ...providerFeatures(config, errors),
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
    },
    // The library's own dispatcher refuses loopback addresses, where the tests' clients listen.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    findAccount: accountFinder(config.accounts),
    interactions: {
      policy: interactionPolicy(libraryPolicy, config),
      url: (ctx, interaction) => `/interaction/${interaction.uid}`,
    },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    jwks: { keys: providerKeys(config.features) },
    pkce: { required: () => true },
    renderError,
    rotateRefreshToken: config.refresh_rotation,
    ttl: ttlConfiguration(config.ttl),
  };
}

/** Lets web clients with `code id_token` have redirect URIs on loopback, as all clients of the tests do. */
function allowLoopbackClients(provider) {
  const { invalidate } = provider.Client.Schema.prototype;
  provider.Client.Schema.prototype.invalidate = function invalidateOthers(message, code) {
    if (!['implicit-force-https', 'implicit-forbid-localhost'].includes(code)) invalidate.call(this, message, code);
  };
}

function observe(provider, stats) {
  for (const event of ['authorization.error', 'grant.error', 'server_error', 'end_session.error', 'userinfo.error']) {
    provider.on(event, (ctx, error) => console.error(`${event}: ${error.stack} ${error.error_detail ?? ''}`));
  }
  provider.on('backchannel.success', () => stats.addCall('backchannel_logout', 200));
  provider.on('backchannel.error', (ctx, error) => {
    stats.addCall('backchannel_logout', 500);
    console.error(`backchannel.error: ${error.stack}`);
  });
}

function listenAll(servers, ready) {
  let waiting = servers.length;
  for (const [server, port] of servers) {
    server.listen(port, LISTEN_ADDRESS, () => {
      waiting -= 1;
      if (waiting === 0) ready();
    });
  }
}

function main() {
  const config = readConfig();
  const issuer = `${config.https ? 'https' : 'http'}://${config.host}:${config.port}`;
  const provider = new Provider(issuer, providerConfiguration(config));
  allowLoopbackClients(provider);
  const stats = new Stats();
  observe(provider, stats);
  provider.use(statsRoute(stats));
  provider.use(countCalls(stats));
  provider.use(interactionRoute(provider, config));
  listenAll(makeServers(config, provider.callback()), () => process.stdout.write(`READY ${issuer}\n`));
  process.once('SIGTERM', () => process.exit(0));
  process.once('SIGINT', () => process.exit(0));
}

main();
