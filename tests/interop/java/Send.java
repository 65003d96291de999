// Send one message by Jakarta Mail: settings as arguments name=value, the message or its text on standard input.

import jakarta.mail.Message;
import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.io.FileInputStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public final class Send {
    public static void main(String[] arguments) throws Exception {
        Map<String, String> given = new HashMap<>();
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            given.put(parts[0], parts[1]);
        }
        String protocol = given.containsKey("implicit") ? "smtps" : "smtp";
        String prefix = "mail." + protocol + ".";
        Properties settings = new Properties();
        settings.put(prefix + "host", "localhost");
        settings.put(prefix + "port", given.get("port"));
        settings.put(prefix + "localhost", "forwarder.example");
        settings.put(prefix + "from", given.get("from"));
        settings.put(prefix + "ssl.checkserveridentity", "true");
        if (given.containsKey("ca")) {
            settings.put(prefix + "starttls.enable", "true");
            settings.put(prefix + "starttls.required", "true");
            settings.put(prefix + "ssl.socketFactory", context(given).getSocketFactory());
        }
        if (given.containsKey("submitter")) {
            settings.put(prefix + "submitter", given.get("submitter"));
        }
        boolean login = given.containsKey("username");
        settings.put(prefix + "auth", String.valueOf(login));
        Session session = Session.getInstance(settings);
        try (Transport transport = session.getTransport(protocol)) {
            transport.connect(given.get("username"), given.get("password"));
            Message message = message(session, given);
            transport.sendMessage(message, InternetAddress.parse(given.get("to")));
        }
    }

    private static Message message(Session session, Map<String, String> given) throws Exception {
        if (!given.containsKey("subject")) {
            return new MimeMessage(session, System.in);
        }
        MimeMessage message = new MimeMessage(session);
        message.setFrom(given.get("from"));
        message.setRecipients(Message.RecipientType.TO, given.get("to"));
        message.setSubject(given.get("subject"));
        message.setText(new String(System.in.readAllBytes(), StandardCharsets.UTF_8));
        message.saveChanges();
        return message;
    }

    private static SSLContext context(Map<String, String> given) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (FileInputStream file = new FileInputStream(given.get("ca"))) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        KeyManagerFactory own = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        if (given.containsKey("certificate")) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            try (FileInputStream file = new FileInputStream(given.get("certificate"))) {
                store.load(file, given.get("password").toCharArray());
            }
            own.init(store, given.get("password").toCharArray());
        } else {
            own.init(null, null);
        }
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(own.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }
}
