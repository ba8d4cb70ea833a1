<?php
// Shows which user PHP apps behind the gate are told.

header('Content-Type: text/plain; charset=utf-8');
$user = isset($_SERVER['HTTP_REMOTE_USER']) ? $_SERVER['HTTP_REMOTE_USER'] : 'nobody';
echo 'Remote-User: ' . $user . "\n";
