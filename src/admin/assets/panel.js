// What the pages do beyond forms and links. Each of them works without this file.
'use strict';

// Rows of a form: the last one that is filled is always followed by an empty one.
for (const rows of document.querySelectorAll('[data-rows]')) {
  rows.addEventListener('input', () => {
    const all = rows.querySelectorAll('[data-row]');
    const last = all[all.length - 1];
    const filled = [...last.querySelectorAll('input')].some((field) => field.value !== '');
    if (!filled) return;
    const next = last.cloneNode(true);
    for (const field of next.querySelectorAll('input')) field.value = '';
    last.after(next);
  });
}

// The values that are suggested for a tag are those of its key.
const values = document.getElementById('tag-values');
if (values) {
  const all = [...values.options];
  document.addEventListener('focusin', ({ target }) => {
    if (target.getAttribute('list') !== 'tag-values') return;
    const row = target.closest('[data-row], form');
    const key = row.querySelector('[list="tag-keys"]')?.value ?? '';
    values.replaceChildren(...all.filter((option) => key === '' || option.dataset.key === key));
  });
}

// The menu closes with Escape, and when the focus or a click goes elsewhere.
for (const menu of document.querySelectorAll('details.menu')) {
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !menu.open) return;
    menu.open = false;
    menu.querySelector('summary').focus();
  });
  const leave = ({ target }) => {
    if (!menu.contains(target)) menu.open = false;
  };
  document.addEventListener('click', leave);
  document.addEventListener('focusin', leave);
}

// What saving a policy would change is shown while its rules are typed.
for (const form of document.querySelectorAll('form[data-preview]')) {
  const shown = form.querySelector('#preview');
  let waiting;
  let asked = 0;
  const look = async () => {
    const number = ++asked;
    try {
      const answer = await fetch(form.dataset.preview, {
        method: 'POST',
        body: new URLSearchParams(new FormData(form)),
      });
      // An answer that was overtaken says nothing any more.
      if (answer.ok && number === asked) shown.innerHTML = await answer.text();
    } catch {
      shown.textContent = 'The server does not answer; press “Preview” to try again.';
    }
  };
  form.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 300);
  });
  look();
}
