"""Tools for developers; the server never imports them."""
