// What makes the portal's pages nicer. No page needs it: each works without.
'use strict';

// A page that shows a secret must not come back from the browser's memory.
addEventListener('pageshow', event => {
  if (event.persisted) location.reload();
});

// say puts a text where screen readers notice it without being interrupted.
const say = (() => {
  let status;
  return text => {
    if (!status) {
      status = document.createElement('p');
      status.className = 'unseen';
      status.setAttribute('role', 'status');
      document.body.append(status);
    }
    status.textContent = '';
    setTimeout(() => { status.textContent = text; }, 50);
  };
})();

// [data-copy="id"] is a button, hidden without scripts, that copies the text of
// the element with that id, and says data-copied.
for (const button of document.querySelectorAll('button[data-copy]')) {
  const label = button.textContent;
  let timer;
  button.hidden = false;
  button.addEventListener('click', async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
    } catch {
      getSelection().selectAllChildren(source); // to be copied by hand
      return;
    }
    button.textContent = button.dataset.copied;
    say(button.dataset.copied);
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// [data-filter="id"] holds an input, hidden without scripts, that leaves of the rows
// of the table with that id those that have all words of it.
for (const filter of document.querySelectorAll('[data-filter]')) {
  const input = filter.querySelector('input');
  const rows = document.querySelectorAll(`#${CSS.escape(filter.dataset.filter)} > tbody > tr`);
  filter.hidden = false;
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
  });
}

// show takes over {"text": {id: text}, "class": {id: class}}.
const show = news => {
  for (const [id, text] of Object.entries(news.text ?? {})) {
    const element = document.getElementById(id);
    if (element && element.textContent !== text) element.textContent = text;
  }
  for (const [id, name] of Object.entries(news.class ?? {})) {
    const element = document.getElementById(id);
    if (element && element.className !== name) element.className = name;
  }
};

// [data-live="address"] is kept up to date every 5 s while the page is looked at, by
// what that address answers. Whoever is not signed in any more is not asked again.
for (const live of document.querySelectorAll('[data-live]')) {
  const timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(live.dataset.live, {redirect: 'error', headers: {Accept: 'application/json'}});
      if (answer.status === 401 || answer.status === 403) clearInterval(timer);
      if (answer.ok) show(await answer.json());
    } catch (problem) {
      if (problem instanceof TypeError && navigator.onLine) clearInterval(timer);
    }
  }, 5000);
}

// form[data-try="id"] is sent without leaving the page; the element with that id says
// what came of it.
for (const form of document.querySelectorAll('form[data-try]')) {
  form.addEventListener('submit', async event => {
    event.preventDefault();
    const result = document.getElementById(form.dataset.try);
    try {
      const answer = await fetch(form.action, {
        method: 'POST', redirect: 'error', headers: {Accept: 'application/json'}, body: new URLSearchParams(new FormData(form)),
      });
      show(await answer.json());
      result.hidden = false;
    } catch {
      form.submit(); // the page that comes then says what is wrong
    }
  });
}

// form[data-once] makes something that is shown once: a second click would lose it.
for (const form of document.querySelectorAll('form[data-once]')) {
  form.addEventListener('submit', event => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = 'yes';
  });
}

// The menu of who is signed in closes where other menus do.
for (const menu of document.querySelectorAll('details.user')) {
  document.addEventListener('click', event => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener('keydown', event => {
    if (event.key !== 'Escape' || !menu.open) return;
    menu.open = false;
    menu.querySelector('summary').focus();
  });
}
