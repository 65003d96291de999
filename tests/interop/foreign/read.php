<?php
// Reads messages as PHP does: base64 of one message a line in, the readings as JSON out.
error_reporting(0);
mb_internal_encoding("UTF-8");
while (($line = fgets(STDIN)) !== false) {
    $head = explode("\r\n\r\n", preg_replace('/\r?\n/', "\r\n", base64_decode($line)), 2)[0];
    preg_match('/^Subject:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)/mi', $head, $found);
    $field = "Subject:" . ($found[1] ?? "");
    $lenient = iconv_mime_decode_headers($field, ICONV_MIME_DECODE_CONTINUE_ON_ERROR, "UTF-8");
    $subject = is_array($lenient) ? ($lenient["Subject"] ?? null) : null;
    $readings = [
        "PHP iconv" => is_array($subject) ? implode(" ", $subject) : $subject,
        // It leaves the underscores of a Q word, which are blanks.
        "PHP mbstring" => str_replace("_", " ", mb_decode_mimeheader(preg_replace('/\r\n(?=[ \t])/', "", $found[1] ?? ""))),
    ];
    echo json_encode($readings, JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
