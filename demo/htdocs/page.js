/* SPDX-License-Identifier: Apache-2.0 */
'use strict';

const TILES = 100;
const NAMES = { h3: 'HTTP/3', h2: 'HTTP/2', h1: 'HTTP/1.1', unknown: 'an unknown protocol' };
const byId = (id) => document.getElementById(id);

/* nextHopProtocol is the ALPN id of the connection that brought the resource. */
function kindOf(entry) {
    const protocol = entry ? entry.nextHopProtocol : '';
    if (protocol === 'h3' || protocol === 'h2') {
        return protocol;
    }
    return protocol.startsWith('http/1') ? 'h1' : 'unknown';
}

function timing(url) {
    return performance.getEntriesByName(new URL(url, location).href, 'resource').pop();
}

function addTile(number) {
    return new Promise((done) => {
        const figure = document.createElement('figure');
        const image = document.createElement('img');
        image.alt = '';
        image.onload = image.onerror = () => done({ figure, image });
        image.src = 'tiles/' + String(number).padStart(3, '0') + '.svg';
        figure.append(image);
        byId('tiles').append(figure);
    });
}

async function showTiles() {
    performance.setResourceTimingBufferSize(1000);
    const start = performance.now();
    const tiles = await Promise.all(Array.from({ length: TILES }, (_, i) => addTile(i)));
    const took = performance.now() - start;
    const count = { h3: 0, h2: 0, h1: 0, unknown: 0 };
    /* An entry may be queued a moment after the image's load event. */
    await new Promise((done) => setTimeout(done, 100));
    for (const { figure, image } of tiles) {
        const kind = kindOf(timing(image.src));
        count[kind]++;
        figure.className = kind;
        figure.title = image.src.split('/').pop() + ': ' + NAMES[kind];
    }
    for (const kind of Object.keys(count)) {
        byId('count-' + kind).textContent = count[kind];
    }
    byId('took').textContent = Math.round(took) + ' ms';
    return count;
}

async function showText(id, url) {
    try {
        const answer = await fetch(url, { cache: 'no-store' });
        byId(id).textContent = await answer.text();
    } catch (error) {
        byId(id).textContent = 'No answer: ' + error.message;
    }
}

function showPage(count) {
    const page = kindOf(performance.getEntriesByType('navigation')[0]);
    byId('protocol').textContent = NAMES[page];
    byId('protocol').className = page;
    const all = count.h3 === TILES && page === 'h3';
    byId('verdict').textContent = all
        ? 'The page and all ' + TILES + ' resources came over HTTP/3.'
        : 'The page came over ' + NAMES[page] + ', ' + count.h3 + ' of ' + TILES
          + ' resources over HTTP/3. A browser learns of HTTP/3 from the first answer: load again.';
    /* For scripts that drive the browser. */
    document.documentElement.dataset.page = page;
    document.documentElement.dataset.h3 = count.h3;
    document.documentElement.dataset.done = 'yes';
}

byId('reload').addEventListener('click', () => location.reload());
byId('upload').addEventListener('submit', async (event) => {
    event.preventDefault();
    const file = event.target.elements.file.files[0];
    byId('upload-answer').textContent = 'Sending ' + file.size + ' bytes ...';
    try {
        const answer = await fetch('cgi-bin/upload', { method: 'POST', body: file });
        byId('upload-answer').textContent = await answer.text();
    } catch (error) {
        byId('upload-answer').textContent = 'Failed: ' + error.message;
    }
});

showTiles().then((count) => {
    showPage(count);
    showText('cgi', 'cgi-bin/hello');
    showText('backend', 'backend/over/' + (document.documentElement.dataset.page));
});
