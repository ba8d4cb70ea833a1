<?php
// An app that lets in whom the gate has let in, and can tell. Signatures are verified by libsodium, which is part of PHP.
// README.md in this folder goes on from here.

// What this app accepts. All of it is configured: nothing of it is taken from a request.
const TYP = 'bws-assertion+jwt';
const LEEWAY = 5; // seconds that the clocks of Caddy and the app may be apart
const MAX_ASSERTION = 8192;
const KEEP = 180; // seconds, as bws_jwks says in Cache-Control
const AGAIN = 5; // seconds before an unknown key may be asked for again

$issuer = getenv('ISSUER') ?: 'http://localhost:8084';
$audience = getenv('AUDIENCE') ?: 'php.example';
$keysURL = getenv('KEYS_URL') ?: 'http://localhost:8084/.well-known/jwks.json';

try {
    $assertion = verify($_SERVER['HTTP_X_BWS_ASSERTION'] ?? '', $issuer, $audience, $keysURL);
} catch (Throwable $refusal) {
    error_log('refused: ' . $refusal->getMessage());
    http_response_code(401);
    header('Content-Type: text/plain; charset=utf-8');
    exit("The gate has not let this request in.\n");
}

header('Content-Type: text/plain; charset=utf-8');
printf("PHP: %s, by the face: %s, %d s ago at most\n", $assertion['sub'], json_encode(isset($assertion['amr'])),
    max(0, time() - $assertion['iat']) + $assertion['age']);

/** Returns what the gate states of this request. */
function verify(string $text, string $issuer, string $audience, string $keysURL): array
{
    $parts = explode('.', $text);
    if (strlen($text) > MAX_ASSERTION || count($parts) !== 3) {
        throw new Exception('there is not one assertion');
    }
    $header = decode($parts[0]);
    // Only this algorithm, whatever the assertion says of itself.
    if (($header['alg'] ?? null) !== 'EdDSA' || ($header['typ'] ?? null) !== TYP || isset($header['crit'])) {
        throw new Exception('a JWT for something else');
    }
    // The key is one of ours, never one that the assertion brings along or points to.
    $key = is_string($header['kid'] ?? null) ? find_key($keysURL, $header['kid']) : null;
    if ($key === null) {
        throw new Exception('signed with a key that is not published');
    }
    $signature = bytes($parts[2]);
    if (strlen($signature) !== SODIUM_CRYPTO_SIGN_BYTES
        || !sodium_crypto_sign_verify_detached($signature, $parts[0] . '.' . $parts[1], $key)) {
        throw new Exception('the signature is wrong');
    }
    $claims = decode($parts[1]);
    check($claims, $issuer, $audience);
    return $claims;
}

/** Holds what is stated against the request that has come with it. */
function check(array $claims, string $issuer, string $audience): void
{
    $now = time();
    $path = explode('?', $_SERVER['REQUEST_URI'], 2)[0];
    if (($claims['iss'] ?? null) !== $issuer || ($claims['aud'] ?? null) !== $audience) {
        throw new Exception('from or for somebody else');
    }
    if (!is_int($claims['nbf'] ?? null) || !is_int($claims['iat'] ?? null) || !is_int($claims['exp'] ?? null)
        || $now < $claims['nbf'] - LEEWAY || $now >= $claims['exp'] + LEEWAY) {
        throw new Exception('not good at this time');
    }
    if (($claims['method'] ?? null) !== $_SERVER['REQUEST_METHOD'] || ($claims['path'] ?? null) !== $path) {
        throw new Exception('an assertion for another request');
    }
    // From here on it is genuine. What follows is what this app wants to know.
    if (($claims['act'] ?? null) !== 'verification' || !is_string($claims['sub'] ?? null) || ($claims['live'] ?? null) !== true) {
        throw new Exception('nobody has been verified');
    }
}

/** Returns a key of those that bws_jwks serves. An unknown one may be new, so that they are read again then. */
function find_key(string $url, string $id): ?string
{
    $file = own_folder() . '/' . hash('sha256', $url) . '.json';
    clearstatcache();
    $age = is_file($file) ? time() - filemtime($file) : PHP_INT_MAX;
    $key = $age < KEEP ? key_in((string) file_get_contents($file), $id) : null;
    if ($key === null && $age >= AGAIN) {
        $answer = @file_get_contents($url, false, stream_context_create(['http' => ['timeout' => 2, 'follow_location' => 0]]));
        if ($answer !== false) {
            $new = tempnam(dirname($file), 'new');
            file_put_contents($new, $answer);
            rename($new, $file);
            $key = key_in($answer, $id);
        }
    }
    return $key;
}

/** Returns a folder in which nobody else can have put keys. */
function own_folder(): string
{
    $folder = sys_get_temp_dir() . '/bws-keys-' . posix_geteuid();
    @mkdir($folder, 0700);
    $stat = lstat($folder);
    if ($stat === false || $stat['uid'] !== posix_geteuid() || $stat['mode'] !== 0040700) {
        throw new Exception($folder . ' is not a folder of ours alone');
    }
    return $folder;
}

function key_in(string $set, string $id): ?string
{
    foreach (json_decode($set, true)['keys'] ?? [] as $key) {
        if (($key['kid'] ?? null) === $id && ($key['crv'] ?? null) === 'Ed25519' && ($key['alg'] ?? null) === 'EdDSA') {
            $public = bytes($key['x']);
            return strlen($public) === SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES ? $public : null;
        }
    }
    return null;
}

/** Decodes a part of an assertion, which must be a JSON object. */
function decode(string $part): array
{
    $object = json_decode(bytes($part), true, 8, JSON_THROW_ON_ERROR);
    if (!is_array($object)) {
        throw new Exception('not an assertion');
    }
    return $object;
}

function bytes(string $part): string
{
    return sodium_base642bin($part, SODIUM_BASE64_VARIANT_URLSAFE_NO_PADDING);
}
