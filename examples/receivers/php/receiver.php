<?php
// A receiver of itsjustintv in PHP (8.0 or newer), for whatever web server runs PHP; for a try:
//
//     TARGET_WEBHOOK_SECRET=... php -S 127.0.0.1:8091 receiver.php

declare(strict_types=1);

const LARGEST = 4 * 1024 * 1024; // a payload with a picture in it
const TOLERANCE = 300; // seconds by which clocks may differ

// Whether a delivery is signed with our secret. Call it before you look at the body, with the bytes as they came.
function genuine(string $secret, array $server, string $body): bool
{
    if (str_starts_with($secret, 'whsec_')) { // target_webhook_signature = "standard" or "both"
        $id = $server['HTTP_WEBHOOK_ID'] ?? '';
        $sentAt = $server['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
        if (!ctype_digit($sentAt) || abs(time() - (int) $sentAt) > TOLERANCE) {
            return false;
        }
        $key = base64_decode(substr($secret, strlen('whsec_')), true);
        if ($key === false) {
            return false;
        }
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$sentAt.$body", $key, true));
        foreach (explode(' ', $server['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $given) {
            if (hash_equals($expected, $given)) {
                return true;
            }
        }
        return false;
    }
    $expected = 'sha256=' . hash_hmac('sha256', $body, $secret);
    return hash_equals($expected, $server['HTTP_X_HUB_SIGNATURE_256'] ?? '');
}

function receive(string $secret, array $server): int
{
    if ($secret === '') {
        return 500; // without a secret everything would be believed
    }
    if (($server['REQUEST_METHOD'] ?? '') !== 'POST') {
        return 405;
    }
    $body = (string) file_get_contents('php://input', false, null, 0, LARGEST + 1);
    if (strlen($body) > LARGEST) {
        return 413;
    }
    if (!genuine($secret, $server, $body)) {
        return 401;
    }
    $news = json_decode($body, true);
    if (!is_array($news)) {
        return 400;
    }
    if (($news['event'] ?? '') === 'stream.online') {
        // What was not answered in time is sent again: keep $news['id'] in your database, and drop what is there already.
        error_log("{$news['streamer_name']} is live: {$news['url']}");
    }
    return 204;
}

http_response_code(receive((string) getenv('TARGET_WEBHOOK_SECRET'), $_SERVER));
header('Content-Length: 0');
