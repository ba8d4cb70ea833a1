package bws

import (
	"context"

	"github.com/go-json-experiment/json"
)

// ServiceStatus is what the service says about itself. Texts are as the service sends them: escape them where they are shown.
type ServiceStatus struct {
	// Version is the version of the API, such as "2.3" (documented). Never empty.
	Version string
	// Label names the installation and its build, such as "BWS 2.3.18128.4" (documented).
	Label string
	// Features are the operations the service offers (documented).
	Features []Feature
}

// Feature is an operation that the service offers.
type Feature struct {
	// Name is the operation, such as "Verification" (documented).
	Name string
	// Traits are the biometric traits it works with, separated by commas (documented).
	Traits string
	// Storage is the storage part of the BCIDs it works with (documented).
	Storage string
	// Partitions are the partitions of the BCIDs it works with (documented).
	Partitions string
}

// Status asks the service about itself. The call is free, and shows whether the service accepts the credentials.
// The error is an [*Error].
func (c *Client) Status(ctx context.Context) (ServiceStatus, error) {
	body, err := c.get(ctx, apiStatus, acceptJSON, nil)
	if err != nil {
		return ServiceStatus{}, err
	}
	var status ServiceStatus
	if json.Unmarshal(body, &status) != nil || status.Version == "" {
		return ServiceStatus{}, invalidResponse(apiStatus, "the body is not strict JSON of the documented types with a Version")
	}
	return status, nil
}
