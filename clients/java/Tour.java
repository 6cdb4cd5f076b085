// The OAuth 2.0 SDK of Nimbus: typed requests and answers, and strict parsing.

import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import com.nimbusds.oauth2.sdk.*;
import com.nimbusds.oauth2.sdk.as.AuthorizationServerMetadata;
import com.nimbusds.oauth2.sdk.auth.*;
import com.nimbusds.oauth2.sdk.http.HTTPRequest;
import com.nimbusds.oauth2.sdk.http.HTTPResponse;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.id.State;
import com.nimbusds.oauth2.sdk.pkce.CodeChallengeMethod;
import com.nimbusds.oauth2.sdk.pkce.CodeVerifier;
import com.nimbusds.oauth2.sdk.token.*;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.util.Set;

public class Tour {
    static final String API = System.getenv("API");
    static final ClientID ID = new ClientID(System.getenv("CLIENT_ID"));
    static final Secret SECRET = new Secret(System.getenv("CLIENT_SECRET"));
    static final Scope SCOPE = new Scope("read:accounts");
    static final ClientAuthentication CREDENTIALS = new ClientSecretBasic(ID, SECRET);
    static AuthorizationServerMetadata server;

    public static void main(String[] args) throws Exception {
        server = AuthorizationServerMetadata.resolve(new Issuer(System.getenv("ISSUER")));
        step("discover");

        got(tokens(new ClientSecretPost(ID, SECRET), new ClientCredentialsGrant(), SCOPE));
        BearerAccessToken own = own();
        equal(own.getScope(), SCOPE);
        equal(own.getLifetime(), 6L);
        step("get");

        validate(own);
        step("validate");

        equal(call("/accounts", own).getStatusCode(), 200);
        step("call");

        BearerTokenError refusal = BearerTokenError.parse(call("/orders", own).getWWWAuthenticate());
        equal(refusal.getCode(), "insufficient_scope");
        equal(refusal.getScope(), new Scope("trade:orders"));
        expired(own);
        equal(BearerTokenError.parse(call("/accounts", own).getWWWAuthenticate()).getCode(), "invalid_token");
        own = own();
        equal(call("/accounts", own).getStatusCode(), 200);
        step("expire");

        RefreshToken first = allowed().getRefreshToken();
        step("code");

        Tokens renewed = got(tokens(CREDENTIALS, new RefreshTokenGrant(first), null)).getTokens();
        equal(call("/accounts", renewed.getBearerAccessToken()).getStatusCode(), 200);
        equal(renewed.getRefreshToken().equals(first), false);
        step("renew");

        TokenIntrospectionSuccessResponse known = introspect(renewed.getAccessToken());
        equal(known.isActive(), true);
        equal(known.getClientID(), ID);
        step("introspect");

        revoke(renewed.getRefreshToken());
        equal(call("/accounts", renewed.getBearerAccessToken()).getStatusCode(), 401);
        equal(introspect(renewed.getAccessToken()).isActive(), false);
        revoke(own);
        equal(call("/accounts", own).getStatusCode(), 401);
        step("revoke");

        refused(tokens(CREDENTIALS, new RefreshTokenGrant(renewed.getRefreshToken()), null), OAuth2Error.INVALID_GRANT);
        refused(tokens(CREDENTIALS, new ClientCredentialsGrant(), new Scope("read:nothing")), OAuth2Error.INVALID_SCOPE);
        refused(tokens(new ClientSecretBasic(ID, new Secret("wrong")), new ClientCredentialsGrant(), SCOPE), OAuth2Error.INVALID_CLIENT);
        step("errors");
    }

    static TokenResponse tokens(ClientAuthentication credentials, AuthorizationGrant grant, Scope scope) throws Exception {
        return TokenResponse.parse(new TokenRequest.Builder(server.getTokenEndpointURI(), credentials, grant)
            .scope(scope).build().toHTTPRequest().send());
    }

    static AccessTokenResponse got(TokenResponse answer) {
        if (!answer.indicatesSuccess()) {
            throw new AssertionError(answer.toErrorResponse().getErrorObject().toJSONObject());
        }
        return answer.toSuccessResponse();
    }

    static void refused(TokenResponse answer, ErrorObject error) {
        equal(answer.indicatesSuccess(), false);
        equal(answer.toErrorResponse().getErrorObject(), error);
    }

    static BearerAccessToken own() throws Exception {
        return got(tokens(CREDENTIALS, new ClientCredentialsGrant(), SCOPE)).getTokens().getBearerAccessToken();
    }

    // A person opens an address, we read where the app gets the answer, and exchange the code.
    static Tokens allowed() throws Exception {
        var verifier = new CodeVerifier();
        var state = new State();
        var redirect = URI.create(System.getenv("REDIRECT_URI"));
        System.out.println("authorize " + new AuthorizationRequest.Builder(ResponseType.CODE, ID)
            .endpointURI(server.getAuthorizationEndpointURI()).redirectionURI(redirect).scope(SCOPE).state(state)
            .codeChallenge(verifier, CodeChallengeMethod.S256).build().toURI());
        var back = AuthorizationResponse.parse(URI.create(new BufferedReader(new InputStreamReader(System.in)).readLine()));
        equal(back.getState(), state);
        equal(back.getIssuer(), server.getIssuer());
        var code = back.toSuccessResponse().getAuthorizationCode();
        Tokens tokens = got(tokens(CREDENTIALS, new AuthorizationCodeGrant(code, redirect, verifier), null)).getTokens();
        equal(call("/accounts", tokens.getBearerAccessToken()).getStatusCode(), 200);
        return tokens;
    }

    // RFC 9068, by our metadata and our JWKS.
    static void validate(AccessToken token) throws Exception {
        var processor = new DefaultJWTProcessor<SecurityContext>();
        processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.ES256,
            JWKSourceBuilder.create(server.getJWKSetURI().toURL()).build()));
        processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(API,
            new JWTClaimsSet.Builder().issuer(server.getIssuer().getValue()).claim("client_id", ID.getValue()).build(),
            Set.of("sub", "exp", "iat", "jti")));
        processor.process(token.getValue(), null);
    }

    static HTTPResponse call(String path, AccessToken token) throws Exception {
        var request = new HTTPRequest(HTTPRequest.Method.GET, URI.create(API + path));
        request.setAuthorization(token.toAuthorizationHeader());
        return request.send();
    }

    // Wait until the API no longer takes a token.
    static void expired(AccessToken token) throws Exception {
        for (long deadline = System.nanoTime() + 20_000_000_000L; call("/accounts", token).getStatusCode() != 401; Thread.sleep(100)) {
            equal(System.nanoTime() < deadline, true);
        }
    }

    static TokenIntrospectionSuccessResponse introspect(Token token) throws Exception {
        return TokenIntrospectionResponse.parse(
            new TokenIntrospectionRequest(server.getIntrospectionEndpointURI(), CREDENTIALS, token).toHTTPRequest().send())
            .toSuccessResponse();
    }

    static void revoke(Token token) throws Exception {
        equal(new TokenRevocationRequest(server.getRevocationEndpointURI(), CREDENTIALS, token).toHTTPRequest().send().getStatusCode(), 200);
    }

    static void equal(Object got, Object want) {
        if (!want.equals(got)) throw new AssertionError("got " + got + ", want " + want);
    }

    // A step of the tour was taken: the test counts them.
    static void step(String name) {
        System.out.println("step " + name);
    }
}
