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
}
