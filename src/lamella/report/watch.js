"use strict";
// Follows the server's events: what changed in the view is changed in place, so that scrolling, focus, ticked boxes and
// opened details stay as they are.
{
  const view = document.getElementById("view"), news = document.getElementById("news");
  const { events, live, lost } = news.dataset;

  const become = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== 1 || old.nodeName !== fresh.nodeName || old.id !== fresh.id) return old.replaceWith(fresh);
    for (const { name } of [...old.attributes])
      if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of [...fresh.attributes])
      if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    children(old, [...fresh.childNodes]);
  };

  const children = (parent, fresh) => {
    const wanted = new Set(fresh.map((each) => each.id).filter(Boolean));
    for (const each of [...parent.children]) if (each.id && !wanted.has(each.id)) each.remove();
    const known = new Map([...parent.children].filter((each) => each.id).map((each) => [each.id, each]));
    let place = parent.firstChild;
    for (const each of fresh) {
      const named = known.get(each.id);
      if (!named && (!place || place.id)) {
        parent.insertBefore(each, place);
        continue;
      }
      const old = named || place;
      if (old === place) place = place.nextSibling;
      else parent.insertBefore(old, place);
      become(old, each);
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  };

  let seen = news.dataset.seen;
  const follow = () => {
    const source = new EventSource(`${events}&seen=${seen}`);
    source.onopen = () => (news.textContent = live);
    source.onmessage = (event) => {
      seen = event.lastEventId;
      const page = new DOMParser().parseFromString(JSON.parse(event.data).view, "text/html");
      become(view, page.getElementById("view"));
    };
    source.onerror = () => {
      news.textContent = lost;
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 2000); // else it tries again by itself
    };
  };
  follow();

  view.addEventListener("submit", (event) => { // by hand, as the page may send no form anywhere
    event.preventDefault();
    location.href = `${event.target.action}?${new URLSearchParams(new FormData(event.target))}`;
  });
}
