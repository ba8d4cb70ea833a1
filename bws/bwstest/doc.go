// Package bwstest emulates the BioID Web Service, for tests and for trying things out without a camera or an account.
//
// The [Service] speaks the protocol of the BWS Web API as far as it is known: tokens, uploads, the biometric operations and
// their results, with the same statuses and bodies, and the page that takes a person through them. It has no biometrics: whoever
// is enrolled is recognized. Tests choose every other outcome, delay or broken answer; buttons on the page choose outcomes. Nothing
// is kept on disk, and everything kept in memory is bounded.
//
// It proves nobody's identity, so it must never stand where a real service is expected.
package bwstest
