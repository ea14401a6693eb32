package state

import "maps"

// ModelDefaults is the settings that new models of a cloud have whose users do not set them: all of its models, and those in a region
// of it. The region's go before the cloud's.
type ModelDefaults struct {
	Controller ModelConfig            `json:"controller,omitempty"` // of all
	Regions    map[string]ModelConfig `json:"regions,omitempty"`
}

// DefaultsPath is where the ModelDefaults of a cloud are, once there have been some. Among the cloud's credentials no name begins with a dot.
func DefaultsPath(cloud string) string { return CloudPath(cloud) + "/.defaults" }

// Inherited is where the settings of a model come from that it has from what its cloud's defaults were when it was made, or when the setting was
// reset: FromController or FromRegion.
// All the others in its ModelConfig were set for the model itself. It is written with the ModelConfig only.
type Inherited map[string]string

// Where a setting of a model comes from, besides the model itself.
const (
	FromController = "controller"
	FromRegion     = "region"
)

// InheritedPath is where the Inherited of the model is, once it has had some.
func (m ModelID) InheritedPath() string { return m.Path() + "/inherited" }

// Under is the settings of a model in the region for which own was set.
func (d ModelDefaults) Under(own ModelConfig, region string) (ModelConfig, Inherited) {
	config, from := ModelConfig{}, Inherited{}
	inherit := func(defaults ModelConfig, source string) {
		for key, value := range defaults {
			config[key], from[key] = value, source
		}
	}
	inherit(d.Controller, FromController)
	inherit(d.Regions[region], FromRegion)
	for key, value := range own {
		config[key] = value
		delete(from, key)
	}
	return config, from
}

// changed is the defaults after a change of those of a region, or where it is empty of all models.
func (d ModelDefaults) changed(region string, set ModelConfig, reset []string) ModelDefaults {
	if region == "" {
		d.Controller = d.Controller.changed(set, reset)
		return d
	}
	d.Regions = maps.Clone(d.Regions)
	if d.Regions == nil {
		d.Regions = map[string]ModelConfig{}
	}
	d.Regions[region] = d.Regions[region].changed(set, reset)
	if len(d.Regions[region]) == 0 {
		delete(d.Regions, region)
	}
	return d
}

// changed is the settings after a change: those in set have these values, those in reset that are not in set are no more.
func (c ModelConfig) changed(set ModelConfig, reset []string) ModelConfig {
	out := ModelConfig{}
	maps.Copy(out, c)
	for _, key := range reset {
		delete(out, key)
	}
	maps.Copy(out, set)
	return out
}
