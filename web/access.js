/**
 * The access token, where the server asks for one. It arrives in the address as `#token=…`, which
 * browsers never send to a server, or through the form on the page; it lives as long as the tab.
 */

const KEY = 'xingji.token';

const given = new URLSearchParams(location.hash.slice(1)).get('token');
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, '', location.pathname + location.search);
}

export const token = () => sessionStorage.getItem(KEY);
export const setToken = (value) => sessionStorage.setItem(KEY, value);
export const authHeaders = () => (token() ? { Authorization: `Bearer ${token()}` } : {});
