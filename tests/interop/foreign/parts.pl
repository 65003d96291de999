# Lists the parts of messages as Perl's mail modules do: base64 of one message a line in, the parts as JSON out.
use strict;
use warnings;
no warnings qw(once);
use Email::MIME;
use JSON::PP;
use MIME::Base64;
use MIME::Parser;

$| = 1;
$SIG{__WARN__} = sub { };
my $json = JSON::PP->new->ascii->canonical;

sub by_email_mime {
    my ($part) = @_;
    my @inside = $part->subparts;
    return map { by_email_mime($_) } @inside if @inside;
    my ($type) = split /\s*;/, $part->content_type // "text/plain";
    return [lc $type, encode_base64($part->body, "")];
}

sub by_mime_tools {
    my ($part) = @_;
    return map { by_mime_tools($_) } $part->parts if $part->parts;
    my $body = $part->bodyhandle;
    return [lc $part->mime_type, $body ? encode_base64($body->as_string, "") : ""];
}

while (my $line = <STDIN>) {
    my $raw = decode_base64($line);
    my %found;
    $found{"Email::MIME"} = eval { [by_email_mime(Email::MIME->new($raw))] };
    my $parser = MIME::Parser->new;
    $parser->output_to_core(1);
    $parser->tmp_to_core(1);
    $parser->extract_nested_messages(0);
    $found{"MIME::Tools"} = eval { [by_mime_tools($parser->parse_data($raw))] };
    print $json->encode(\%found), "\n";
}
