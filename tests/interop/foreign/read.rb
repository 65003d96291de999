# Reads messages as Ruby's mail does: base64 of one message a line in, the readings as JSON out.
require "base64"
require "json"
require "mail"

$stdout.sync = true
$stdin.each_line do |line|
  subject = begin
    Mail.new(Base64.decode64(line)).subject
  rescue StandardError
    nil
  end
  text = subject&.dup&.force_encoding("UTF-8")&.scrub
  puts JSON.generate({ "Ruby mail" => text }, ascii_only: true)
end
