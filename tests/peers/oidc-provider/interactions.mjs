// What happens between the authorization request and its response: the user signs in, and consents to all.

import { loginPage, renderError } from './pages.mjs';

const BODY_LIMIT = 64 * 1024;

function accountOf(accounts, login) {
  return Object.hasOwn(accounts, login) ? accounts[login] : undefined;
}

export function accountFinder(accounts) {
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
  for (const [resource, scopes] of Object.entries(details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  for (const detail of details.rar ?? []) grant.addRar(detail);
  return { consent: { grantId: await grant.save() } };
}

/** The values of acr that the request asks for, in `acr_values` or in the claims parameter. */
function requestedAcrs({ acr_values: values, claims }) {
  const { value, values: claimed = [] } = JSON.parse(claims ?? '{}').id_token?.acr ?? {};
  return [...(values ?? '').split(' '), value, ...claimed];
}

function authenticationContext({ features }, params) {
  const acr = requestedAcrs(params).find((value) => features.acr_values.includes(value));
  return acr === undefined ? {} : { acr, amr: ['pwd'] };
}

/** The result of a submitted login form, or undefined when the credentials are wrong. */
function loginResult(config, params, form) {
  if (form.get('action') === 'cancel') {
    return { error: 'access_denied', error_description: 'the end-user cancelled the sign-in' };
  }
  const login = form.get('login') ?? '';
  if (!passwordMatches(accountOf(config.accounts, login), form.get('password'))) return undefined;
  return { login: { accountId: login, ...authenticationContext(config, params) } };
}

async function finishInteraction(provider, ctx, result) {
  const returnTo = await provider.interactionResult(ctx.req, ctx.res, result);
  ctx.redirect(returnTo);
  ctx.status = 303;
}

async function handleInteraction(provider, config, ctx) {
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
  const result = loginResult(config, interaction.params, form);
  if (result) {
    await finishInteraction(provider, ctx, result);
    return;
  }
  ctx.status = 401;
  ctx.body = loginPage(interaction.uid, form.get('login') ?? '', 'wrong login or password');
}

/** The library's own policy, and what RFC 9470 5 adds: a class in `acr_values` that can be had is necessary. */
export function interactionPolicy({ base, Check }, { features }) {
  const policy = base();
  const isUnmet = ({ oidc: { acr, params } }) => {
    const asked = (params.acr_values ?? '').split(' ').filter((value) => features.acr_values.includes(value));
    return asked.length > 0 && !asked.includes(acr);
  };
  policy.get('login').checks.add(new Check('acr_values', 'none of the classes that were asked for is met', isUnmet));
  return policy;
}

/** The pages between the authorization request and its response. */
export function interactionRoute(provider, config) {
  return async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) {
      await next();
      return;
    }
    try {
      await handleInteraction(provider, config, ctx);
    } catch (error) {
      console.error(error);
      ctx.status = error.statusCode ?? 500;
      renderError(ctx, { error: error.error ?? 'server_error', error_description: error.message });
    }
  };
}
