package userapi

// The routes of settings that no one model has.
const (
	ModelDefaultsRoute       = "GET /v1/model-defaults"      // [cloud: the controllers' own if empty] -> map[string]ModelDefault
	SetModelDefaultsRoute    = "PATCH /v1/model-defaults"    // SetModelDefaults -> Warnings
	ControllerConfigRoute    = "GET /v1/controller/config"   // -> map[string]any
	SetControllerConfigRoute = "PATCH /v1/controller/config" // SetControllerConfig
)

// A ModelDefault is what models have for a setting that nobody has set for them. Its JSON names are those of juju's model-defaults.
type ModelDefault struct {
	Default    any             `json:"default,omitempty"`    // that of grigri itself; nil: grigri does not know the setting
	Controller any             `json:"controller,omitempty"` // of all models in the cloud; nil: the same
	Regions    []RegionDefault `json:"regions,omitempty"`    // by name
}

// A RegionDefault is what the models in a region have.
type RegionDefault struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// SetModelDefaults changes the defaults of models in a cloud, or in one of its regions.
type SetModelDefaults struct {
	Cloud  string `json:"cloud,omitempty"` // empty: the controllers' own
	Region string `json:"region,omitempty"`
	Settings
}

// SetControllerConfig changes settings of the controllers.
type SetControllerConfig struct {
	Set map[string]string `json:"set"`
}
