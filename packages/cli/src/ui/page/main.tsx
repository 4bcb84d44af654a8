/** The page's beginning: takes the token from the address and renders the page. Bundled by `tools/page.mjs`. */
import { render } from 'preact';
import { App } from './app.js';

const token = new URLSearchParams(location.search).get('token') ?? '';
const root = document.getElementById('app');
if (root !== null) render(<App token={token} />, root);
