/**
 * The API key, where the server asks for one. It arrives in the address as `#token=…`, which
 * browsers never send to a server, or through the form on the page; this browser keeps it.
 */

const KEY = 'xingji.api_key';

const given = new URLSearchParams(location.hash.slice(1)).get('token');
if (given) {
  localStorage.setItem(KEY, given);
  history.replaceState(null, '', location.pathname + location.search);
}

export const apiKey = () => localStorage.getItem(KEY);
export const setApiKey = (value) => localStorage.setItem(KEY, value);
export const authHeaders = () => (apiKey() ? { Authorization: `Bearer ${apiKey()}` } : {});
