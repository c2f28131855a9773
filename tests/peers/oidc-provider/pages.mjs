// The pages that a user of the provider sees.

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

export function loginPage(uid, login, error) {
  const message = error ? `<p id="error">${escapeHtml(error)}</p>` : '';
  return page('Sign in', `${message}
<form id="login-form" method="post" action="/interaction/${escapeHtml(uid)}">
<label>Login <input name="login" autocomplete="off" value="${escapeHtml(login)}" autofocus></label>
<label>Password <input name="password" type="password" autocomplete="off"></label>
<button id="submit" type="submit" name="action" value="login">Sign in</button>
<button id="cancel" type="submit" name="action" value="cancel">Cancel</button>
</form>`);
}

export function logoutSource(ctx, form) {
  ctx.body = page('Sign out', `${form}
<input type="hidden" name="logout" value="yes" form="op.logoutForm">
<button id="logout-confirm" type="submit" form="op.logoutForm">Sign out</button>
<script>document.getElementById('op.logoutForm').submit();</script>`);
}

export function postLogoutSuccessSource(ctx) {
  ctx.body = page('Signed out', '<p id="signed-out">You are signed out of the provider.</p>');
}

export function renderError(ctx, out) {
  const lines = Object.entries(out).map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
  ctx.type = 'html';
  ctx.body = page('Provider error', `<dl id="error">${lines.join('')}</dl>`);
}
