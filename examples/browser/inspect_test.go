package browser

// inspection is run in a page and returns what is wrong with it, as a list of
// sentences. It is about what axe-core doesn't see: what sticks out at the side (WCAG
// 2.2, 1.4.10), the contrast of borders of fields (1.4.11), forms that lack
// something, and what the page's policy would not run.
const inspection = `(() => {
  const wrong = [];
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] / 255 + below[i] * (1 - top[3] / 255)).concat(255);
  const ground = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), rgba('Canvas'));
  };
  const light = colour => {
    const part = colour.slice(0, 3).map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const name = e => '<' + e.tagName.toLowerCase() + (e.className && e.className.baseVal === undefined ? '.' + e.className : '') + '> ' + (e.innerText || e.name || '').slice(0, 40);
  const clipped = e => e && (getComputedStyle(e).clipPath !== 'none' || clipped(e.parentElement));
  const scrolled = e => e.tagName !== 'MAIN' && (getComputedStyle(e.parentElement).overflowX !== 'visible' || scrolled(e.parentElement));
  const shown = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && e.getClientRects().length > 0;

  for (const e of document.querySelectorAll('body *')) {
    if (!shown(e)) continue;
    if (e.matches('input:not([type=hidden]), select, textarea')) {
      const edge = contrast(over(rgba(getComputedStyle(e).borderTopColor), ground(e.parentElement)), ground(e.parentElement));
      if (edge < 3) wrong.push('contrast ' + edge.toFixed(2) + ' of the border of ' + name(e));
    }
    const right = e.getBoundingClientRect().right, sheet = e.closest('main');
    if (getComputedStyle(e).position === 'absolute' || clipped(e)) continue;
    if (right > document.documentElement.clientWidth + 1) wrong.push('sticks out at the right: ' + name(e));
    else if (sheet && right > sheet.getBoundingClientRect().right + 1 && !scrolled(e)) wrong.push('sticks out of the sheet: ' + name(e));
  }
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) wrong.push('the page scrolls sideways');
  if (document.querySelectorAll('h1').length !== 1) wrong.push('it has not one first heading');
  for (const form of document.forms) {
    const to = new URL(form.action);
    if (![...form.elements].some(e => e.type === 'submit')) wrong.push('a form without a button: ' + to);
    if (form.method !== 'post' && form.querySelector('[type=password]')) wrong.push('a form that puts a password into an address: ' + to);
    if (form.method === 'post' && to.origin === location.origin && !to.pathname.endsWith('/login') && !form.elements.csrf?.value) wrong.push('a form that other sites could send: ' + to);
  }
  if (document.querySelector('[style], style')) wrong.push('a style outside the style sheet');
  if (document.querySelector('script:not([src]), [href^="javascript:" i], [action^="javascript:" i]')) wrong.push('a script outside the script file');
  for (const e of document.querySelectorAll('*')) {
    for (const a of e.attributes) if (a.name.startsWith('on')) wrong.push('a script in ' + a.name + ' of ' + name(e));
  }
  return wrong;
})()`
