package caddybws

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// record tells everybody who watches what was decided about a request.
func (g *Gate) record(level zapcore.Level, message string, q *inquiry) {
	g.count(q)
	g.emit(q)
	g.log(level, message, q)
}

// log tells what was decided about a request. It names nobody.
func (g *Gate) log(level zapcore.Level, message string, q *inquiry) {
	c := g.logger.Check(level, message)
	if c == nil {
		return
	}
	c.Write(
		zap.String("service", g.serviceName()),
		zap.String("reason", string(q.visit.decision.Reason)),
		zap.String("evidence", q.visit.source()),
		zap.String("method", q.Method),
		zap.String("host", q.Host),
		zap.String("path", q.URL.Path),
		zap.String("client_ip", clientIP(q.Request)),
	)
}
