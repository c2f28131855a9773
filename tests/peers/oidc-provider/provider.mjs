// An OpenID provider for integration tests, configured by the JSON in OIDC_PROVIDER_CONFIG or in the file argv[2]:
//
//   port                 number, required; the listener is always bound to 127.0.0.1
//   host                 host name in the issuer, "127.0.0.1" (default) or "localhost"
//   clients              list of RFC 7591 client metadata, including client_id (and client_secret)
//   accounts             {"alice": {"password": "optional", "claims": {"email": "...", "groups": ["..."]}}}
//   ttl                  seconds by artifact: access_token, authorization_code, id_token, refresh_token, session, ...
//   refresh_rotation     whether each use of a refresh token replaces it (default true)
//   claims_in_id_token   whether ID tokens of the code flow carry the scopes' claims (default false: userinfo only)

import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';

// Stdout carries the READY line alone; the library's notices go to stderr.
console.info = console.error;
console.log = console.error;
const { default: Provider } = await import('oidc-provider');
const { default: MemoryAdapter } = await import('oidc-provider/lib/adapters/memory_adapter.js');

const LISTEN_ADDRESS = '127.0.0.1';
const BODY_LIMIT = 64 * 1024;

const CLAIMS_BY_SCOPE = {
  acr: null,
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
  return {
    host: LISTEN_ADDRESS, clients: [], accounts: {}, ttl: {}, refresh_rotation: true, claims_in_id_token: false, ...config,
  };
}

function signingKey(type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig' };
}

function camelCase(name) {
  return name.split('_').map((word) => word[0].toUpperCase() + word.slice(1)).join('');
}

function ttlConfiguration(overrides) {
  const entries = Object.entries({ ...DEFAULT_TTL, ...overrides });
  return Object.fromEntries(entries.map(([name, seconds]) => [camelCase(name), seconds]));
}

function escapeHtml(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function page(title, body) {
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>${escapeHtml(title)}</title></head>
<body>
<h1>${escapeHtml(title)}</h1>
${body}
</body>
</html>`;
}

function loginPage(uid, login, error) {
  const message = error ? `<p id="error">${escapeHtml(error)}</p>` : '';
  return page('Sign in', `${message}
<form id="login-form" method="post" action="/interaction/${escapeHtml(uid)}">
<label>Login <input name="login" autocomplete="off" value="${escapeHtml(login)}" autofocus></label>
<label>Password <input name="password" type="password" autocomplete="off"></label>
<button id="submit" type="submit" name="action" value="login">Sign in</button>
<button id="cancel" type="submit" name="action" value="cancel">Cancel</button>
</form>`);
}

function logoutSource(ctx, form) {
  ctx.body = page('Sign out', `${form}
<input type="hidden" name="logout" value="yes" form="op.logoutForm">
<button id="logout-confirm" type="submit" form="op.logoutForm">Sign out</button>
<script>document.getElementById('op.logoutForm').submit();</script>`);
}

function postLogoutSuccessSource(ctx) {
  ctx.body = page('Signed out', '<p id="signed-out">You are signed out of the provider.</p>');
}

function renderError(ctx, out) {
  const lines = Object.entries(out).map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
  ctx.type = 'html';
  ctx.body = page('Provider error', `<dl id="error">${lines.join('')}</dl>`);
}

function accountOf(accounts, login) {
  return Object.hasOwn(accounts, login) ? accounts[login] : undefined;
}

function accountFinder(accounts) {
  return (ctx, sub) => {
    const account = accountOf(accounts, sub);
    return account && { accountId: sub, claims: () => ({ ...account.claims, sub }) };
  };
}

function passwordMatches(account, password) {
  return account !== undefined && (account.password === undefined || account.password === password);
}

async function readForm(req) {
  let text = '';
  for await (const chunk of req) {
    text += chunk;
    if (text.length > BODY_LIMIT) throw new Error('the request body is too large');
  }
  return new URLSearchParams(text);
}

async function grantConsent(provider, { grantId, session, params, prompt: { details } }) {
  const existing = grantId && await provider.Grant.find(grantId);
  const grant = existing || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '));
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims);
  return { consent: { grantId: await grant.save() } };
}

/** The result of a submitted login form, or undefined when the credentials are wrong. */
function loginResult(accounts, form) {
  if (form.get('action') === 'cancel') {
    return { error: 'access_denied', error_description: 'the end-user cancelled the sign-in' };
  }
  const login = form.get('login') ?? '';
  return passwordMatches(accountOf(accounts, login), form.get('password')) ? { login: { accountId: login } } : undefined;
}

async function finishInteraction(provider, ctx, result) {
  const returnTo = await provider.interactionResult(ctx.req, ctx.res, result);
  ctx.redirect(returnTo);
  ctx.status = 303;
}

async function handleInteraction(provider, accounts, ctx) {
  ctx.set('cache-control', 'no-store');
  const interaction = await provider.interactionDetails(ctx.req, ctx.res);
  if (interaction.prompt.name === 'consent') {
    await finishInteraction(provider, ctx, await grantConsent(provider, interaction));
    return;
  }
  if (ctx.method !== 'POST') {
    ctx.body = loginPage(interaction.uid, interaction.params.login_hint ?? '');
    return;
  }
  const form = await readForm(ctx.req);
  const result = loginResult(accounts, form);
  if (result) {
    await finishInteraction(provider, ctx, result);
    return;
  }
  ctx.status = 401;
  ctx.body = loginPage(interaction.uid, form.get('login') ?? '', 'wrong login or password');
}

function interactionRoute(provider, accounts) {
  return async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) {
      await next();
      return;
    }
    try {
      await handleInteraction(provider, accounts, ctx);
    } catch (error) {
      console.error(error);
      ctx.status = error.statusCode ?? 500;
      renderError(ctx, { error: error.error ?? 'server_error', error_description: error.message });
    }
  };
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
    adapter: (model) => new MemoryAdapter(model, store),
    claims: CLAIMS_BY_SCOPE,
    clients: config.clients,
    clockTolerance: 0,
    conformIdTokenClaims: !config.claims_in_id_token,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: {
      backchannelLogout: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
      userinfo: { enabled: true },
    },
    // The library's own dispatcher refuses loopback addresses, where the tests' clients listen.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    findAccount: accountFinder(config.accounts),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    jwks: {
      keys: [signingKey('rsa', { modulusLength: 2048 }, 'RS256'), signingKey('ec', { namedCurve: 'P-256' }, 'ES256')],
    },
    pkce: { required: () => true },
    renderError,
    rotateRefreshToken: config.refresh_rotation,
    ttl: ttlConfiguration(config.ttl),
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

function main() {
  const config = readConfig();
  const issuer = `http://${config.host}:${config.port}`;
  const provider = new Provider(issuer, providerConfiguration(config));
  const stats = new Stats();
  observe(provider, stats);
  provider.use(statsRoute(stats));
  provider.use(countCalls(stats));
  provider.use(interactionRoute(provider, config.accounts));
  const server = createServer(provider.callback());
  server.listen(config.port, LISTEN_ADDRESS, () => process.stdout.write(`READY ${issuer}\n`));
  process.once('SIGTERM', () => process.exit(0));
  process.once('SIGINT', () => process.exit(0));
}

main();
