package caddybws

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// record tells everybody who watches what was decided about a request.
func (g *Gate) record(level zapcore.Level, message string, q *inquiry) {
	g.count(q)
	g.emit(q)
	if g.isHeldBack(level, message, q) {
		return
	}
	g.log(level, message, q)
	g.audit(message, q)
}

// log tells what was decided about a request. It names nobody.
func (g *Gate) log(level zapcore.Level, message string, q *inquiry) {
	if c := g.logger.Check(level, message); c != nil {
		c.Write(g.logFields(q)...)
	}
}

func (g *Gate) logFields(q *inquiry) []zap.Field {
	return []zap.Field{
		zap.String("service", g.serviceName()),
		zap.String("reason", string(q.visit.decision.Reason)),
		zap.String("evidence", q.visit.source()),
		zap.String("method", q.Method),
		zap.String("host", q.Host),
		zap.String("path", q.URL.Path),
		zap.String("client_ip", clientIP(q.Request)),
	}
}
