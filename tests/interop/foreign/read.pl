# Reads messages as Perl's mail modules do: base64 of one message a line in, the readings as JSON out.
use strict;
use warnings;
no warnings qw(once);
use Email::MIME;
use Encode;
use JSON::PP;
use MIME::Base64;
use MIME::Parser;
use MIME::WordDecoder;

$| = 1;
$SIG{__WARN__} = sub { };
my $json = JSON::PP->new->ascii->canonical;
while (my $line = <STDIN>) {
    my $raw = decode_base64($line);
    my %found;
    my $mime = Email::MIME->new($raw);
    $found{"Email::MIME"} = $mime->header_str("Subject");
    my $parser = MIME::Parser->new;
    $parser->output_to_core(1);
    $parser->tmp_to_core(1);
    my $subject = $parser->parse_data($raw)->head->get("Subject", 0);
    chomp $subject;
    $found{"MIME::Parser, Encode"} = eval { Encode::decode("MIME-Header", $subject) };
    $found{"MIME::Parser, MIME::WordDecoder"} = eval { Encode::decode("UTF-8", mime_to_perl_string($subject)) };
    print $json->encode(\%found), "\n";
}
