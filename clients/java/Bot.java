import com.nimbusds.oauth2.sdk.*;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.auth.*;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.http.HTTPResponse;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.token.AccessToken;
import java.io.IOException;
import java.net.URI;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

public class Bot {
    static final ClientAuthentication CLIENT = new ClientSecretBasic(
        new ClientID(System.getenv("CLIENT_ID")), new Secret(System.getenv("CLIENT_SECRET")));
    static AuthorizationServerMetadata server;
    static AccessToken token;
    static long renewAt; // by System.nanoTime
    static long asked;   // seconds that the server asks to wait; 0 if it doesn't

    static AccessToken accessToken() throws Exception {
        if (server == null) server = AuthorizationServerMetadata.resolve(new Issuer(System.getenv("ISSUER")), 30_000, 30_000);
        if (token == null || System.nanoTime() - renewAt >= 0) {
            var request = new TokenRequest.Builder(server.getTokenEndpointURI(), CLIENT, new ClientCredentialsGrant())
                .scope(new Scope("read:accounts")).build();
            token = TokenResponse.parse(good(send(request.toHTTPRequest()))).toSuccessResponse().getTokens().getAccessToken();
            renewAt = System.nanoTime() + TimeUnit.SECONDS.toNanos(token.getLifetime() - 10); // before it ends
        }
        return token;
    }

    static HTTPResponse get(String path) throws Exception {
        var request = new HTTPRequest(HTTPRequest.Method.GET, URI.create(System.getenv("API") + path));
        request.setAuthorization(accessToken().toAuthorizationHeader());
        return send(request);
    }

    static HTTPResponse call(String path) throws Exception {
        HTTPResponse response = get(path);
        if (response.getStatusCode() == 401) { // revoked, or your rights changed: renew once
            token = null;
            response = get(path);
        }
        return good(response);
    }

    static HTTPResponse send(HTTPRequest request) throws IOException {
        request.setConnectTimeout(30_000);
        request.setReadTimeout(30_000);
        return request.send();
    }

    static HTTPResponse good(HTTPResponse response) throws IOException {
        if (response.getStatusCode() == 200) return response;
        String wait = response.getHeaderValue("Retry-After");
        asked = wait != null && wait.matches("\\d{1,6}") ? Long.parseLong(wait) : 0;
        throw new IOException("status " + response.getStatusCode());
    }

    public static void main(String[] args) throws Exception {
        var stop = new CountDownLatch(1);
        var main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stop.countDown();
            try { main.join(); } catch (InterruptedException e) { /* killed */ }
        }));
        long pause = 0;
        for (int failures = 0; !stop.await(pause, TimeUnit.SECONDS);) {
            asked = 0;
            try {
                call("/accounts"); // your work
                failures = 0;
                pause = 1;
            } catch (Exception e) { // 503, 429, no network: wait as long as the server asks, or ever longer
                System.err.println(e.getMessage());
                pause = asked > 0 ? asked : Math.min(1L << Math.min(failures++, 6), 60);
            }
        }
        if (token != null) {
            good(send(new TokenRevocationRequest(server.getRevocationEndpointURI(), CLIENT, token).toHTTPRequest()));
        }
    }
}
