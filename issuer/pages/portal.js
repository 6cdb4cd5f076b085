// What makes the portal's pages nicer. No page needs it: each works without.
'use strict';

// A page that shows a secret must not come back from the browser's memory.
addEventListener('pageshow', event => {
  if (event.persisted) location.reload();
});

// [data-copy="id"] is a button, hidden without scripts, that copies the text of
// the element with that id.
for (const button of document.querySelectorAll('button[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    const before = button.textContent;
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = before; }, 2000);
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
