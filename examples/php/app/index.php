<?php
// The administration of a guest book, as it was written for a web server that did the login.
// It has no login of its own and takes the user from the server.

$user = isset($_SERVER['HTTP_REMOTE_USER']) ? $_SERVER['HTTP_REMOTE_USER'] : '';

if ($user == '') {
    header('HTTP/1.0 403 Forbidden');
    die("Nobody is logged in.\n");
}

header('Content-Type: text/plain; charset=utf-8');
echo 'Guest book administration, logged in as ' . $user . "\n";
