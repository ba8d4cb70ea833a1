// Package bws is a client of the BioID Web Service (BWS), the "classic" Web API that issues tokens for biometric
// operations and reports the result of the last operation performed with a token.
//
// A server asks [Client.Token] for a token, a browser or app performs the operation with it, and the server then reads the
// outcome with [Client.Result]. The client asks nobody but the configured endpoint, follows no redirects and accepts only
// what the API documents: everything else is an error, and no error allows anything.
//
// An [OperationResult] that says Success is not an identity. Who may do what with it, and for how long it means anything,
// is for the caller to decide: the service reports neither time nor expiry, and the result changes when the operation is
// repeated with the same token.
//
// No error of this package holds a token, the secret, a URL with a query, or anything the service sent.
//
// Comments say how a fact about the service is known: documented by BioID, observed in other clients or in real data, or
// inferred from both.
package bws
