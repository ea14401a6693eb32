package provider

// Constraints is the hardware that a user asked for. A nil field means no wish; a pointer to a zero value
// is a wish to have none of what the model asks for. JSON names are those of juju's model-constraints.
type Constraints struct {
	Arch             *string   `json:"arch,omitempty"`
	Container        *string   `json:"container,omitempty"`
	Cores            *int      `json:"cores,omitempty"`
	CPUPower         *int      `json:"cpu-power,omitempty"`
	MemoryMiB        *int      `json:"mem,omitempty"`
	RootDiskMiB      *int      `json:"root-disk,omitempty"`
	RootDiskSource   *string   `json:"root-disk-source,omitempty"`
	Tags             *[]string `json:"tags,omitempty"`
	InstanceRole     *string   `json:"instance-role,omitempty"`
	InstanceType     *string   `json:"instance-type,omitempty"`
	Spaces           *[]string `json:"spaces,omitempty"`
	VirtType         *string   `json:"virt-type,omitempty"`
	Zones            *[]string `json:"zones,omitempty"`
	AllocatePublicIP *bool     `json:"allocate-public-ip,omitempty"`
	ImageID          *string   `json:"image-id,omitempty"`
	IPFamily         *string   `json:"ip-family,omitempty"`
}

// IsZero says that nothing is asked for.
func (c Constraints) IsZero() bool { return c == Constraints{} }

// Merge returns the wishes of an application over those of its model: what the application says nothing about
// is taken from the model. An instance type and the size of a machine exclude each other, so whichever of
// the two the application asks for makes the model's wish for the other one void.
func Merge(model, app Constraints) Constraints {
	if app.InstanceType != nil && *app.InstanceType != "" {
		model.Cores, model.CPUPower, model.MemoryMiB = nil, nil, nil
	}
	if app.Cores != nil || app.CPUPower != nil || app.MemoryMiB != nil {
		model.InstanceType = nil
	}
	return Constraints{
		Arch:             over(model.Arch, app.Arch),
		Container:        over(model.Container, app.Container),
		Cores:            over(model.Cores, app.Cores),
		CPUPower:         over(model.CPUPower, app.CPUPower),
		MemoryMiB:        over(model.MemoryMiB, app.MemoryMiB),
		RootDiskMiB:      over(model.RootDiskMiB, app.RootDiskMiB),
		RootDiskSource:   over(model.RootDiskSource, app.RootDiskSource),
		Tags:             over(model.Tags, app.Tags),
		InstanceRole:     over(model.InstanceRole, app.InstanceRole),
		InstanceType:     over(model.InstanceType, app.InstanceType),
		Spaces:           over(model.Spaces, app.Spaces),
		VirtType:         over(model.VirtType, app.VirtType),
		Zones:            over(model.Zones, app.Zones),
		AllocatePublicIP: over(model.AllocatePublicIP, app.AllocatePublicIP),
		ImageID:          over(model.ImageID, app.ImageID),
		IPFamily:         over(model.IPFamily, app.IPFamily),
	}
}

func over[T any](model, app *T) *T {
	if app != nil {
		return app
	}
	return model
}
