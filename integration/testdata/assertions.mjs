// Reads {"jwks": <url>, "tries": [{"assertion", "issuer", "audience"}]} and writes what jose makes of each try: the claims and the id
// of the key, or the code of its error.
import { createRemoteJWKSet, jwtVerify } from "jose";

let input = "";
for await (const chunk of process.stdin) input += chunk;
const { jwks, tries } = JSON.parse(input);
const keys = createRemoteJWKSet(new URL(jwks));
const results = [];
for (const { assertion, issuer, audience } of tries) {
	try {
		const { payload, protectedHeader } = await jwtVerify(assertion, keys, {
			issuer, audience, algorithms: ["EdDSA"], typ: "bws-assertion+jwt", clockTolerance: 5, maxTokenAge: 600,
			requiredClaims: ["iat", "nbf", "exp", "jti", "act", "age", "live", "method", "path"],
		});
		results.push({ kid: protectedHeader.kid, claims: payload });
	} catch (error) {
		results.push({ error: error.code ?? String(error) });
	}
}
console.log(JSON.stringify(results));
